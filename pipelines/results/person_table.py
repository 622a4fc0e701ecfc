"""What a report says of every person of a run, in numpy columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import NUM_BODY_JOINTS
from hierprob3d.model.picture.proxy import PROXY_SIZE

from .run_folder import RunFolder

Numbers = NDArray[np.float64]

_COLUMNS = (
    "item_id", "uri", "frame_index", "time_s", "person_index", "bbox", "crop", "pose_spread_deg",
    "reprojection_px", "height_m", "quality",
)  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """A number that people are counted, sorted and filtered by."""

    key: str
    name: str
    unit: str
    meaning: str
    decimals: int = 0


MEASURES = (
    Measure("spread", "uncertainty", "°", "mean angular spread of the joints; 120° = unknown"),
    Measure("reprojection", "reprojection", "px",
            "mean distance of body and keypoints, px of the 256 px crop", 1),
    Measure("size", "size", "px", "height of the box in the picture"),
    Measure("quality", "quality", "", "estimated probability that the pose is right", 2),
    Measure("height", "height", "m", "height of the mean shape", 2),
)  # fmt: skip


@dataclass(frozen=True)
class PersonTable:
    """All people, in the order of the parts."""

    shards: tuple[str, ...]
    """File names of the parts."""
    starts: NDArray[np.int64]
    """(len(shards) + 1,) number of the first person of each, and of all."""
    measures: dict[str, Numbers]
    """Of each person by the keys of MEASURES, NaN where it is not known."""
    joint_spreads: Numbers
    """(P, 23) degrees."""
    uris: list[str]
    item_ids: list[str]
    person_indices: list[int]
    times: Numbers
    """Seconds; NaN for pictures."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    def evenly(self, num: int) -> NDArray[np.int64]:
        """Numbers of at most `num` people in equal steps from the surest to the least sure."""
        if num < 1 or not len(self):
            return np.empty(0, np.int64)
        order = np.argsort(self.measures["spread"], kind="stable")
        steps = np.linspace(0, len(order) - 1, min(num, len(order)))
        return np.sort(order[np.rint(steps).astype(int)])

    def in_shard(self, shard: int, people: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of a part among some people."""
        start, end = self.starts[shard], self.starts[shard + 1]
        return people[(people >= start) & (people < end)] - start


def person_table(folder: RunFolder) -> PersonTable:
    """What is known of all people of a run."""
    parts = list(folder.people_parts(_COLUMNS))
    tables = [part.table for part in parts]
    spreads = _joined(tables, "pose_spread_deg", NUM_BODY_JOINTS)
    crops, boxes = _joined(tables, "crop", 3), _joined(tables, "bbox", 4)
    reprojection = _joined(tables, "reprojection_px")
    return PersonTable(
        shards=tuple(part.name.rsplit("/", 1)[-1] for part in parts),
        starts=np.cumsum([0, *map(len, tables)]),
        measures={
            "spread": spreads.mean(1) if len(spreads) else np.empty(0),
            "reprojection": reprojection * PROXY_SIZE / crops[:, 2],
            "size": boxes[:, 3] - boxes[:, 1],
            "quality": _joined(tables, "quality"),
            "height": _joined(tables, "height_m"),
        },
        joint_spreads=spreads,
        uris=[uri for table in tables for uri in table["uri"].to_pylist()],
        item_ids=[item for table in tables for item in table["item_id"].to_pylist()],
        person_indices=[one for table in tables for one in table["person_index"].to_pylist()],
        times=_joined(tables, "time_s"),
    )


def _joined(tables: Sequence[pa.Table], name: str, width: int | None = None) -> Numbers:
    """(P,) or (P, width) numbers of all tables, NaN for null and where a table lacks the column."""
    shape = (0,) if width is None else (0, width)
    return np.concatenate([np.empty(shape), *(_numbers(table, name, width) for table in tables)])


def _numbers(table: pa.Table, name: str, width: int | None) -> Numbers:
    shape = (len(table),) if width is None else (len(table), width)
    if name not in table.column_names:
        return np.full(shape, np.nan)
    array = table[name].combine_chunks()
    if width is not None:
        array = array.flatten()
    return array.to_numpy(zero_copy_only=False).astype(np.float64).reshape(shape)
