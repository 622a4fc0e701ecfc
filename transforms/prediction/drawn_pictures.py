"""Stage `draw`: pictures of the results of one frame."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.picture.drawing import (
    cut_out_crop,
    draw_bodies,
    draw_views,
    shrink_to,
    spread_colours,
)
from hierprob3d.model.picture.overlays import add_spread_legend, draw_keypoints
from hierprob3d.transforms.batch.batches import DrawnPicture
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Frame
from hierprob3d.transforms.store.file_names import picture_name
from hierprob3d.transforms.tables.schema import refined_name

NUM_DRAWN_SAMPLES = 8
COLOURED = frozenset({"crops", "uncropped"})
"""Kinds of pictures in which colours show how far the vertices of the samples lie apart."""

_CROP_SIZE = 512
_MAX_UNCROPPED_SIDE = 2048
"""Larger photographs are drawn smaller: bodies cost by the pixel, 60 bytes of memory each."""

_JPEG_QUALITY = 92


def draw_frame(
    frame: Frame, people: People, models: Models, kinds: Collection[str]
) -> list[DrawnPicture]:
    """JPEG files: one `uncropped` per frame, one `crop` and `samples` per person.

    `uncropped` shows the refined bodies where there are any, `crop` both them and the modes.

    Args:
        frame: The frame of all these people.
        people: With their meshes, column body_vertices.
        models: Body model and visibility threshold.
        kinds: Of crops, uncropped, samples.
    """
    colours = _colours(people)
    drawn: dict[str, np.ndarray] = {}
    if "uncropped" in kinds:
        drawn["uncropped"] = _draw_uncropped(frame, people, models, colours)
    for person in range(len(people)):
        one = slice(person, person + 1)
        number = people.person_indices[person]
        if "crops" in kinds:
            picture = _draw_crop(frame, people, models, colours, one)
            drawn[f"person{number}-crop"] = picture
        if "samples" in kinds:
            drawn[f"person{number}-samples"] = _draw_samples(people, models, one)
    return [
        DrawnPicture(frame.item, picture_name(frame.item, what), _encode(picture))
        for what, picture in drawn.items()
    ]


def _colours(people: People) -> Tensor | None:
    """RGB (P, V, 3) of the vertices' spread, None where no samples were drawn."""
    spread = people.columns.get("vertex_spread_m")
    return None if spread is None else spread_colours(spread)


def _draw_uncropped(
    frame: Frame, people: People, models: Models, colours: Tensor | None
) -> np.ndarray:
    assert frame.image is not None, "only decoded frames have people"
    image, scale = shrink_to(frame.image, _MAX_UNCROPPED_SIDE)
    vertices, camera = _bodies(people)[-1]
    crop = scale * people.columns["crop"].to(models.device)
    picture = draw_bodies(image, vertices, models.body.faces, camera, crop, colours)
    return picture if colours is None else add_spread_legend(picture)


def _draw_crop(
    frame: Frame, people: People, models: Models, colours: Tensor | None, one: slice
) -> np.ndarray:
    """The network's crop with its keypoints, beside the same with each body."""
    assert frame.image is not None, "only decoded frames have people"
    crop = people.columns["crop"][one][0].cpu()
    picture = cut_out_crop(frame.image, crop.tolist(), _CROP_SIZE)
    keypoints = people.columns["keypoints"][one].cpu().numpy().copy()
    keypoints[..., :2] = (
        (keypoints[..., :2] - crop[:2].numpy()) / float(crop[2]) + 0.5
    ) * _CROP_SIZE
    half = _CROP_SIZE / 2
    whole = torch.tensor([[half, half, _CROP_SIZE]], device=models.device)
    mine = None if colours is None else colours[one]
    drawn = [
        draw_bodies(picture, vertices[one], models.body.faces, camera[one], whole, mine)
        for vertices, camera in _bodies(people)
    ]
    strip = np.concatenate([draw_keypoints(picture, keypoints, models.threshold), *drawn], axis=1)
    return strip if colours is None else add_spread_legend(strip)


def _bodies(people: People) -> list[tuple[Tensor, Tensor]]:
    """Meshes and cameras of the modes and, where there are any, the refined bodies."""
    names = [("body_vertices", "camera")]
    if refined_name("camera") in people.columns:
        names.append((refined_name("body_vertices"), refined_name("camera")))
    return [(people.columns[mesh], people.columns[camera]) for mesh, camera in names]


def _draw_samples(people: People, models: Models, one: slice) -> np.ndarray:
    """Mode and best samples from the front and from the side."""
    mode = people.columns["body_vertices"][one]
    samples = people.columns["sample_vertices"][one][0]
    return draw_views(torch.cat([mode, samples]), models.body.faces)


def _encode(picture: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), options)
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} could not be encoded")
    return data.tobytes()
