"""The people of a report's gallery: each in the photograph, and as meshes that a viewer turns."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hierprob3d.model.body.coarse_body import coarse_body, quantised
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.person_row import PersonRow
from hierprob3d.model.estimate.reconstruction import (
    REFINED_COLUMNS,
    parameters_of_rows,
    rebuild_mode,
    rebuild_samples,
    with_refined_body,
)
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.picture.cameras import image_to_crop
from hierprob3d.model.picture.drawing import (
    FULL_SPREAD_M,
    Picture,
    cut_out_crop,
    draw_bodies,
    plain_colours,
    spread_colours,
)
from hierprob3d.model.picture.overlays import draw_keypoints
from hierprob3d.transforms.inputs.picture_files import UnreadablePicture, read_picture
from hierprob3d.transforms.inputs.video_index import UnreadableVideo
from hierprob3d.transforms.inputs.videos import read_frame

from .person_table import PersonTable
from .recorded_models import RecordedModels
from .run_folder import RunFolder

HEIGHT = 192
"""Height of every picture in px."""

NUM_VERTICES = 1400
"""Of the meshes: enough for a picture of a few hundred px."""

NUM_SAMPLES = 6
"""Meshes of samples beside the mode."""

STEP_M = 0.0005
"""Of the meshes' places."""

_NUM_FOR_SPREAD = 24
"""Samples that the spread of the vertices is taken of."""

_AROUND = 1.1
"""The photograph is shown this much wider than the network's crop."""
_JPEG_QUALITY = 80
_MAX_MEGAPIXELS = 1000.0
_GROUND = 238


_COLUMNS = (
    "item_id", "uri", "frame_index", "time_s", "person_index", "keypoints", "crop", "camera",
    "pose_F", "pose_mode", "shape_mean", "shape_std", "global_rotmat", "global_F", "seed",
    "joint_spread_m", *REFINED_COLUMNS.values(),
)  # fmt: skip
"""Of the people shown: saved samples and meshes would be read for nothing."""


@dataclass(frozen=True)
class GalleryPerson:
    """One person of the gallery."""

    number: int
    """Among all people of the run."""
    row: PersonRow
    jpeg: bytes
    """The photograph with the keypoints, beside the same with the body."""
    photograph_found: bool
    """False where the photograph cannot be read any more: then the body stands on plain ground."""
    body: int
    """Number of the faces, see `Gallery`."""
    meshes: NDArray[np.int16]
    """(1 + N, V, 3) the mode, or the refined body, then samples; steps of STEP_M, body frame, from
    the middle of the first."""
    spread: NDArray[np.uint8] | None
    """(V,) spread of the vertices, 255 at the bright end of the colours; None without samples."""

    @property
    def data_uri(self) -> str:
        """The picture as a URI that needs no other file."""
        return "data:image/jpeg;base64," + base64_text(self.jpeg)


@dataclass(frozen=True)
class Gallery:
    """People, and the faces of their meshes by the number of their body."""

    people: list[GalleryPerson]
    faces: list[NDArray[np.uint16]]


def base64_text(data: bytes) -> str:
    """Bytes as text that a page may hold."""
    return base64.b64encode(data).decode("ascii")


def gallery(
    folder: RunFolder,
    table: PersonTable,
    num_people: int,
    body_model: str | None,
    tell: Callable[[int], None] = lambda done: None,
) -> Gallery:
    """Pictures and meshes of a choice of people, see `PersonTable.evenly`.

    Args:
        folder: The run's.
        table: All its people.
        num_people: How many at most.
        body_model: Body model that the user gave, or None.
        tell: Called after each with the number of those done.

    Raises:
        UsageError: The body model at hand is not the one of the run.
    """
    chosen, models = table.evenly(num_people), RecordedModels(folder, body_model)
    painter, people = _Painter(), list[GalleryPerson]()
    for shard, name in enumerate(table.shards):
        rows = table.in_shard(shard, chosen)
        part = folder.people_part(name, _COLUMNS) if len(rows) else None
        if part is None:
            continue
        found = models.of_part(part)
        body = painter.body_of(found.body)
        for number, row in zip(rows.tolist(), part.rows(rows.tolist()), strict=True):
            place = int(table.starts[shard]) + number
            people.append(painter.person(place, row, body, found.threshold))
            tell(len(people))
    return Gallery(people, [body.faces.numpy().astype(np.uint16) for body in painter.bodies])


class _Painter:
    """Draws people with coarse bodies, and keeps the last photograph."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self._numbers: dict[str, int] = {}
        self._photograph: tuple[str, Picture | None] = ("", None)

    def body_of(self, body: Body) -> int:
        """The number of a body model's coarse one."""
        if body.sha256 not in self._numbers:
            self._numbers[body.sha256] = len(self.bodies)
            self.bodies.append(coarse_body(body, NUM_VERTICES))
        return self._numbers[body.sha256]

    def person(self, number: int, row: PersonRow, body: int, threshold: float) -> GalleryPerson:
        """One person of the gallery."""
        mesh_body = self.bodies[body]
        shown = with_refined_body(row) if row.get("refined_pose") is not None else row
        mode = rebuild_mode([shown], mesh_body)[0]
        samples, spread = _samples(row, mesh_body)
        photograph = self._read(row)
        colours = plain_colours(mode) if spread is None else spread_colours(spread)[None]
        strip = _strip(row, shown, photograph, threshold, mode, mesh_body.faces, colours)
        meshes = torch.cat([mode, samples])
        middle = (mode[0].amin(0) + mode[0].amax(0)) / 2
        return GalleryPerson(
            number, row, _jpeg(strip), photograph is not None, body,
            quantised(meshes - middle, STEP_M),
            None if spread is None else _byte_spread(spread),
        )  # fmt: skip

    def _read(self, row: PersonRow) -> Picture | None:
        if self._photograph[0] != row["item_id"]:
            self._photograph = (row["item_id"], photograph_of(row))
        return self._photograph[1]


def _samples(row: PersonRow, body: Body) -> tuple[Tensor, Tensor | None]:
    """Meshes (N, V, 3) of the first samples, and the spread (V,) of some; none without samples."""
    if row.get("joint_spread_m") is None or "num_samples" not in row.metadata:
        return torch.empty(0, body.num_vertices, 3), None
    num_samples = min(int(row.metadata["num_samples"]), _NUM_FOR_SPREAD)
    meshes = rebuild_samples([row], body, num_samples)[0]
    return meshes[0, :NUM_SAMPLES], sample_spread(meshes)[0]


def _byte_spread(spread: Tensor) -> NDArray[np.uint8]:
    return (spread / FULL_SPREAD_M * 255).round().clamp(0, 255).byte().numpy()


def photograph_of(row: PersonRow) -> Picture | None:
    """The picture or video frame of a row, None where it cannot be read any more."""
    try:
        if row["frame_index"] is None:
            return read_picture(row["uri"], _MAX_MEGAPIXELS).image
        time_s = row["time_s"] or 0.0
        return read_frame(row["uri"], row["frame_index"], time_s, _MAX_MEGAPIXELS).image
    except (OSError, UnreadablePicture, UnreadableVideo):
        return None


def _strip(
    row: PersonRow,
    shown_row: PersonRow,
    photograph: Picture | None,
    threshold: float,
    mode: Tensor,
    faces: Tensor,
    colours: Tensor,
) -> Picture:
    """Photograph with keypoints, and with the body."""
    crop = torch.tensor(row["crop"])[None]
    shown = crop * crop.new_tensor([1.0, 1.0, _AROUND])
    picture = np.full((HEIGHT, HEIGHT, 3), _GROUND, np.uint8)
    if photograph is not None:
        picture = cut_out_crop(photograph, shown[0].tolist(), HEIGHT)
    crop_in_picture = crop.new_tensor([[HEIGHT / 2, HEIGHT / 2, HEIGHT / _AROUND]])
    keypoints = torch.tensor(row["keypoints"]).view(1, 17, 3)
    keypoints[..., :2] = image_to_crop(keypoints[..., :2], shown, HEIGHT)
    camera = parameters_of_rows([shown_row]).camera
    parts = [
        draw_keypoints(picture, keypoints.numpy(), threshold),
        draw_bodies(picture, mode, faces, camera, crop_in_picture, colours),
    ]
    return np.concatenate(parts, axis=1)


def _jpeg(picture: Picture) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV encodes any uint8 picture"
    return encoded.tobytes()
