"""The pictures of a report: a choice of people, each beside the photograph they were found in."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.person_row import PersonRow
from hierprob3d.model.estimate.reconstruction import (
    parameters_of_rows,
    rebuild_mode,
    rebuild_samples,
    with_refined_body,
)
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.picture.cameras import image_to_crop
from hierprob3d.model.picture.drawing import (
    Picture,
    cut_out_crop,
    draw_bodies,
    draw_views,
    plain_colours,
    spread_colours,
)
from hierprob3d.model.picture.overlays import draw_keypoints
from hierprob3d.transforms.inputs.items import VideoRange
from hierprob3d.transforms.inputs.picture_files import UnreadablePicture, read_picture
from hierprob3d.transforms.inputs.video_index import UnreadableVideo
from hierprob3d.transforms.inputs.videos import read_frames

from .recorded_bodies import RecordedBodies
from .run_folder import PeoplePart, RunFolder

HEIGHT = 288
"""Height of every picture in px."""

_AROUND = 1.1
"""The photograph is shown this much wider than the network's crop."""
_KEYPOINT_THRESHOLD = 0.3
"""Keypoints at or below this confidence are not drawn, where no manifest says otherwise."""
_JPEG_QUALITY = 82
_MAX_MEGAPIXELS = 200.0
_MAX_SAMPLES = 50
"""Samples that colours are made from, where the run did not save the spread of the vertices."""


@dataclass(frozen=True)
class PersonPicture:
    """One person of the report."""

    row: dict[str, Any]
    """The row of the people table."""
    mean_spread_deg: float
    """Mean of the joints' angular spreads."""
    jpeg: bytes
    """Photograph with keypoints, overlays, and two views of the body, side by side."""
    photograph_found: bool
    """False where the photograph cannot be read any more: then the body stands on white."""

    @property
    def data_uri(self) -> str:
        """The picture as a URI that needs no other file."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


def person_pictures(
    folder: RunFolder,
    bodies: RecordedBodies,
    num_people: int,
    tell: Callable[[int], None] = lambda done: None,
) -> list[PersonPicture]:
    """Pictures of a choice of people, from the surest to the least sure in equal steps.

    Args:
        folder: The run's.
        bodies: Its body models.
        num_people: How many at most.
        tell: Called after each with the number of those drawn.

    Raises:
        UsageError: the body model at hand is not the one of the run.
    """
    pictures = []
    thresholds = _keypoint_thresholds(folder)
    for part, rows in _chosen(folder, num_people):
        body = bodies.of_part(part)
        for row in part.rows(rows):
            threshold = thresholds.get(row["run_id"], _KEYPOINT_THRESHOLD)
            pictures.append(_person_picture(row, body, threshold))
            tell(len(pictures))
    return sorted(pictures, key=lambda picture: picture.mean_spread_deg)


def _keypoint_thresholds(folder: RunFolder) -> dict[str, float]:
    """Confidence of a visible keypoint by run id, as far as manifests tell."""
    return {
        manifest["run_id"]: manifest["keypoint_threshold"]
        for manifest in folder.manifests()
        if "keypoint_threshold" in manifest
    }


def _chosen(folder: RunFolder, num_people: int) -> Iterator[tuple[PeoplePart, list[int]]]:
    """Parts with the indices of the rows that were chosen from them."""
    counts, spreads = [], []
    for part in folder.people_parts(["pose_spread_deg"]):
        column = np.asarray(part.table["pose_spread_deg"].combine_chunks().flatten())
        spreads.append(column.reshape(len(part.table), -1).mean(1))
        counts.append(len(part.table))
    if not counts or num_people < 1:
        return
    order = np.argsort(np.concatenate(spreads), kind="stable")
    steps = np.linspace(0, len(order) - 1, min(num_people, len(order)))
    chosen = np.sort(order[np.rint(steps).astype(int)])
    starts = np.cumsum([0, *counts])
    for part, start, end in zip(folder.people_parts(), starts[:-1], starts[1:], strict=True):
        rows = chosen[(chosen >= start) & (chosen < end)] - start
        if len(rows):
            yield part, rows.tolist()


def _person_picture(row: PersonRow, body: Body, threshold: float) -> PersonPicture:
    photograph = _photograph(row)
    jpeg = _jpeg(_strip(row, body, photograph, threshold))
    mean_spread = float(np.mean(row["pose_spread_deg"]))
    return PersonPicture(row, mean_spread, jpeg, photograph is not None)


def _photograph(row: dict[str, Any]) -> Picture | None:
    """The picture or video frame of a row, None where it cannot be read any more."""
    try:
        if row["frame_index"] is None:
            return read_picture(row["uri"], _MAX_MEGAPIXELS).image
        whole = VideoRange(None, None, by_time=False)
        wanted = {row["frame_index"]: row["time_s"]}
        frames = read_frames(row["uri"], whole, wanted, _MAX_MEGAPIXELS)
        return next(picture.image for _, picture in frames)
    except (OSError, UnreadablePicture, UnreadableVideo, StopIteration):
        return None


def _strip(row: PersonRow, body: Body, photograph: Picture | None, threshold: float) -> Picture:
    """Photograph with keypoints, the same with each body, and the last from front and side."""
    shown_rows = [row, with_refined_body(row)] if row.get("refined_pose") is not None else [row]
    meshes = [rebuild_mode([one], body)[0] for one in shown_rows]
    cameras = [parameters_of_rows([one]).camera for one in shown_rows]
    vertices = meshes[-1]
    spread = vertex_spread_of(row, body)
    colours = plain_colours(vertices) if spread is None else spread_colours(spread)
    crop = torch.tensor(row["crop"])[None]
    shown = crop * crop.new_tensor([1.0, 1.0, _AROUND])
    picture = np.full((HEIGHT, HEIGHT, 3), 255, np.uint8)
    if photograph is not None:
        picture = cut_out_crop(photograph, shown[0].tolist(), HEIGHT)
    crop_in_picture = crop.new_tensor([[HEIGHT / 2, HEIGHT / 2, HEIGHT / _AROUND]])
    keypoints = torch.tensor(row["keypoints"]).view(1, 17, 3)
    keypoints[..., :2] = image_to_crop(keypoints[..., :2], shown, HEIGHT)
    views = [draw_views(vertices, body.faces, colours, (turn,), HEIGHT) for turn in (0.0, 90.0)]
    parts = [
        draw_keypoints(picture, keypoints.numpy(), threshold),
        *(
            draw_bodies(picture, mesh, body.faces, camera, crop_in_picture, colours)
            for mesh, camera in zip(meshes, cameras, strict=True)
        ),
        *views,
    ]
    return np.concatenate(parts, axis=1)


def vertex_spread_of(row: PersonRow, body: Body) -> Tensor | None:
    """(1, V) metres: the stored one or that of samples made again; None where none were drawn."""
    if row.get("vertex_spread_m") is not None:
        return torch.tensor(row["vertex_spread_m"])[None]
    if row.get("joint_spread_m") is None:
        return None
    num_samples = min(int(row.metadata["num_samples"]), _MAX_SAMPLES)
    return sample_spread(rebuild_samples([row], body, num_samples)[0])


def _jpeg(picture: Picture) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV encodes any uint8 picture"
    return encoded.tobytes()
