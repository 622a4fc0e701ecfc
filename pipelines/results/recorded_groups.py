"""People of a unit by what they were made with, ready to be drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.configs.prediction import (
    PredictConfig,
    RefinementConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import Columns
from hierprob3d.transforms.batch.models import BodyModels
from hierprob3d.transforms.inputs.items import Frame
from hierprob3d.transforms.prediction.recorded_people import (
    DRAWN_COLUMNS,
    recorded_columns,
    recorded_people,
)

from .recorded_models import RecordedModels
from .render_units import RenderUnit
from .run_folder import PeoplePart, RunFolder

_COLUMNS = (*DRAWN_COLUMNS, "seed", "joint_spread_m")


@dataclass(frozen=True)
class RecordedGroup:
    """People of one run and seed."""

    table: pa.Table
    models: BodyModels
    sampling: SamplingConfig

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of the frames that they are in."""
        return frozenset(self.table["item_id"].to_pylist())

    @cached_property
    def columns(self) -> Columns:
        """Of all of them."""
        return recorded_columns(self.table)

    def batch(self, frames: list[Frame]) -> Batch:
        """Those of some frames."""
        mine = [frame for frame in frames if frame.item.item_id in self.ids]
        return Batch(mine, people=recorded_people(self.table, self.columns, mine))

    def config(self, kinds: frozenset[str], picture_format: str) -> PredictConfig:
        """What the run would have been told, to draw these pictures."""
        if not self.sampling.uncertainty:
            kinds = kinds - {"samples"}
        return PredictConfig(
            source=SourceConfig(inputs=("recorded",)),
            sampling=self.sampling,
            refinement=RefinementConfig(refine="refined_pose" in self.columns),
            run=RunConfig(output="recorded", visualise=kinds, picture_format=picture_format),
        )


def recorded_groups(
    folder: RunFolder, unit: RenderUnit, models: RecordedModels
) -> list[RecordedGroup]:
    """The people of a unit.

    Raises:
        UsageError: See `RecordedModels.of_part`.
    """
    parts = [folder.people_part(part, _COLUMNS) for part in unit.parts]
    return [group for part in parts if part is not None for group in _groups(part, models)]


def _groups(part: PeoplePart, models: RecordedModels) -> Iterator[RecordedGroup]:
    for seed in pc.unique(part.table["seed"]).to_pylist():
        mine = part.table.filter(pc.equal(part.table["seed"], seed))
        yield RecordedGroup(mine, models.of_part(part), _sampling(part, seed))


def _sampling(part: PeoplePart, seed: int) -> SamplingConfig:
    """How the run drew its samples; rows of schema 1 do not say that they had none."""
    metadata = part.metadata
    has_samples = "joint_spread_m" in part.table.column_names and "num_samples" in metadata
    return SamplingConfig(
        num_samples=int(metadata.get("num_samples", 1)),
        uncertainty=has_samples,
        paper_rule=json.loads(metadata.get("paper_rule", "false")),
        drop_intersecting=has_samples and metadata.get("drop_intersecting") == "true",
        seed=seed,
    )
