"""What the frames table knows that people's rows do not: sizes of pictures, rates of videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from hierprob3d.model.estimate.reconstruction import camera_translation, parameters_of_rows
from hierprob3d.model.motion.resampling import frame_rate

from .run_folder import RunFolder

Row = Mapping[str, Any]


class Places:
    """Puts people before the camera, and tells how fast frames follow each other.

    Args:
        folder: of the run.
        focal_length: in px; None takes what the run recorded.
    """

    def __init__(self, folder: RunFolder, focal_length: float | None) -> None:
        frames = folder.frames()
        sizes = frames.select(["item_id", "width", "height"]).to_pylist()
        self._sizes = {row["item_id"]: (row["width"], row["height"]) for row in sizes}
        self._focal_length = focal_length
        self._rates = _frame_rates(frames)

    def focal_length(self, row: Row) -> float:
        """Focal length in px: the given one, the row's, or the picture's diagonal."""
        recorded = row.get("focal_px")  # rows of earlier versions have none
        return self._focal_length or recorded or math.hypot(*self._sizes[row["item_id"]])

    def translation(self, rows: Sequence[Row]) -> Tensor:
        """(P, 3) metres from the body frame's origin to the person's place."""
        people = parameters_of_rows(rows)
        sizes = torch.tensor([self._sizes[row["item_id"]] for row in rows]).float()
        focal = torch.tensor([self.focal_length(row) for row in rows])
        return camera_translation(people.camera, people.crop, sizes, focal)

    def rate(self, row: Row) -> float | None:
        """Frames per second of the row's video as they were taken; None for a picture."""
        return self._rates.get(row["uri"])


def _frame_rates(frames: pa.Table) -> dict[str, float | None]:
    """Of each video, from all its frames."""
    of_videos = frames.filter(pc.field("frame_index").is_valid())
    of_videos = of_videos.select(["uri", "frame_index", "time_s"])
    rates = {}
    for uri in pc.unique(of_videos["uri"]).to_pylist():
        video = of_videos.filter(pc.field("uri") == uri).sort_by("frame_index")
        times = np.asarray(video["time_s"], np.float64)
        rates[uri] = frame_rate(np.asarray(video["frame_index"]), times)
    return rates
