"""A row of the people table with what its file knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REFINED_COLUMNS = {
    "pose_mode": "refined_pose",
    "shape_mean": "refined_betas",
    "global_rotmat": "refined_global_rotmat",
    "camera": "refined_camera",
}
"""Columns of the refined body, by those of the mode that they take the place of."""

SMOOTHED_COLUMNS = {
    "pose_mode": "smoothed_pose",
    "shape_mean": "smoothed_betas",
    "global_rotmat": "smoothed_global_rotmat",
    "camera": "smoothed_camera",
}
"""Columns of tracks/, likewise."""


class PersonRow(dict[str, Any]):
    """One person by column name, with the metadata of the file that the row comes from."""

    metadata: dict[str, str]
    """See `transforms.tables.schema.file_metadata`."""

    def __init__(self, columns: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        super().__init__(columns)
        self.metadata = dict(metadata)
