"""What of a run is drawn by one process: a shard's pictures, or a whole video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.transforms.inputs.items import Item, Shard
from hierprob3d.transforms.tables.schema import STATUS_FAILED, STATUS_OK

from .run_folder import RunFolder

_FRAME_COLUMNS = ["item_id", "uri", "frame_index", "time_s", "width", "height", "status"]
_WHOLE_VIDEO = {"start_pts": None, "end_pts": None, "by_time": False}


@dataclass(frozen=True)
class RenderUnit:
    """Frames that are decoded one after the other."""

    parts: tuple[str, ...]
    """File names of the finished shards that they are of."""

    video: str | None = None
    """URI of the one video whose frames they are; None: pictures."""

    num_frames: int = 0
    """Those that are drawn."""


@dataclass(frozen=True)
class RecordedFrames:
    """Frames of a unit as the run recorded them."""

    shard: Shard
    """Its items, in the order of time."""

    sizes: dict[str, tuple[int, int]]
    """Width and height of each by its id, px."""


def render_units(folder: RunFolder, pattern: str, every_frame: bool) -> list[RenderUnit]:
    """All that there is to draw of a run.

    Args:
        folder: The run's.
        pattern: Only of pictures and videos whose URI it matches; * and ? are wildcards.
        every_frame: Whether frames of videos without people are drawn too.
    """
    units: list[RenderUnit] = []
    videos: dict[str, dict[str, int]] = {}
    for part in folder.finished_parts():
        rows = _wanted(folder.frames_part(part), pattern)
        is_video = pc.is_valid(rows["frame_index"])
        num_pictures = len(_drawn(rows.filter(pc.invert(is_video)), every_frame=False))
        if num_pictures:
            units.append(RenderUnit((part,), None, num_pictures))
        for uri in _drawn(rows.filter(is_video), every_frame)["uri"].to_pylist():
            counts = videos.setdefault(uri, {})
            counts[part] = counts.get(part, 0) + 1
    units += [RenderUnit(tuple(c), uri, sum(c.values())) for uri, c in videos.items()]
    return units


def recorded_frames(
    folder: RunFolder, unit: RenderUnit, pattern: str, every_frame: bool
) -> RecordedFrames:
    """The frames of a unit; arguments as of `render_units`."""
    items, sizes = [], {}
    for row in _rows(folder, unit, pattern, every_frame):
        items.append(Item(row["item_id"], row["uri"], row["frame_index"], row["time_s"]))
        sizes[row["item_id"]] = (row["width"], row["height"])
    if unit.video is None:
        return RecordedFrames(Shard(0, tuple(items)), sizes)
    items.sort(key=lambda item: item.frame_index or 0)
    return RecordedFrames(Shard(0, tuple(items), _WHOLE_VIDEO), sizes)


def _rows(folder: RunFolder, unit: RenderUnit, pattern: str, every_frame: bool) -> Iterator[dict]:
    for part in unit.parts:
        rows = _wanted(folder.frames_part(part), pattern)
        if unit.video is None:
            rows = rows.filter(pc.is_null(rows["frame_index"]))
            yield from _drawn(rows, every_frame=False).to_pylist()
        else:
            rows = rows.filter(pc.equal(rows["uri"], unit.video))
            yield from _drawn(rows, every_frame).to_pylist()


def _wanted(frames: pa.Table, pattern: str) -> pa.Table:
    rows = frames.select(_FRAME_COLUMNS)
    if pattern == "*":
        return rows
    return rows.filter(np.array([fnmatch(uri, pattern) for uri in rows["uri"].to_pylist()], bool))


def _drawn(rows: pa.Table, every_frame: bool) -> pa.Table:
    """Rows of frames with people, or of all that could be decoded."""
    if every_frame:
        return rows.filter(pc.and_(pc.not_equal(rows["status"], STATUS_FAILED),
                                   pc.is_valid(rows["width"])))  # fmt: skip
    return rows.filter(pc.equal(rows["status"], STATUS_OK))
