"""Stage `draw`: pictures of the results of one frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.prediction import RunConfig
from hierprob3d.model.picture.cameras import image_to_crop
from hierprob3d.model.picture.drawing import (
    Picture,
    cut_out_crop,
    draw_bodies,
    draw_each,
    draw_views,
    shrink_to,
    spread_colours,
    vertex_normals,
)
from hierprob3d.model.picture.lettering import write_text
from hierprob3d.model.picture.overlays import add_spread_legend, draw_keypoints
from hierprob3d.model.picture.person_figure import SQUARE, FigureParts, draw_person_figure
from hierprob3d.model.picture.proxy import visible_mask
from hierprob3d.model.picture.proxy_picture import ProxyKeypoints
from hierprob3d.transforms.batch.batches import DrawnPicture
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.batch.models import BodyModels
from hierprob3d.transforms.inputs.items import Frame
from hierprob3d.transforms.store.file_names import picture_name
from hierprob3d.transforms.tables.schema import refined_name, std_name

from .proxies import EDGES

NUM_DRAWN_SAMPLES = 8
COLOURED = frozenset({"crops", "figure", "uncropped"})
"""Kinds of pictures in which colours show how far the vertices of the samples lie apart."""

_CROP_SIZE = 512
MAX_UNCROPPED_SIDE = 2048
"""Larger photographs are drawn smaller: bodies cost by the pixel, 60 bytes of memory each."""

_ENCODING = {"jpg": (cv2.IMWRITE_JPEG_QUALITY, 92), "png": (cv2.IMWRITE_PNG_COMPRESSION, 3)}
_SAMPLE_SIZE = 256


def draw_frame(
    frame: Frame, people: People, models: BodyModels, config: RunConfig
) -> list[DrawnPicture]:
    """Encoded pictures: one `uncropped` per frame, the others per person.

    `uncropped` shows the refined bodies where there are any, `crop` both them and the modes.

    Args:
        frame: The frame of all these people.
        people: With their meshes, column body_vertices.
        models: Body model and visibility threshold.
        config: Which kinds are drawn, and their format.
    """
    colours = colours_of(people)
    drawn: dict[str, Picture] = {}
    if "uncropped" in config.visualise:
        drawn["uncropped"] = draw_uncropped(frame, people, models, colours)
    for person, number in enumerate(people.person_indices):
        for kind, draw, word in _OF_A_PERSON:
            if kind in config.visualise:
                one = slice(person, person + 1)
                drawn[f"person{number}-{word}"] = draw(frame, people, models, colours, one)
    extension = config.picture_format
    return [
        DrawnPicture(
            frame.item, picture_name(frame.item, what, extension), _encode(picture, extension)
        )
        for what, picture in drawn.items()
    ]


def colours_of(people: People) -> Tensor | None:
    """RGB (P, V, 3) of the vertices' spread, None where no samples were drawn."""
    spread = people.columns.get("vertex_spread_m")
    return None if spread is None else spread_colours(spread)


def draw_uncropped(
    frame: Frame, people: People, models: BodyModels, colours: Tensor | None
) -> Picture:
    """Everybody's body over the frame, the refined one where there is one.

    Args:
        frame: The frame of all these people.
        people: With their meshes, column body_vertices.
        models: Body model.
        colours: RGB (P, V, 3), see `colours_of`; None: a plain one for each person.
    """
    assert frame.image is not None, "only decoded frames have people"
    image, scale = shrink_to(frame.image, MAX_UNCROPPED_SIDE)
    vertices, camera = _bodies(people)[-1]
    crop = scale * people.columns["crop"].to(models.device)
    picture = draw_bodies(image, vertices, models.body.faces, camera, crop, colours)
    return picture if colours is None else add_spread_legend(picture)


def _draw_crop(
    frame: Frame, people: People, models: BodyModels, colours: Tensor | None, one: slice
) -> Picture:
    """The network's crop with its keypoints, beside the same with each body."""
    picture = _cut_out(frame, people, one, _CROP_SIZE)
    keypoints = _crop_keypoints(people, one, _CROP_SIZE)
    whole = _whole(_CROP_SIZE, models)
    mine = None if colours is None else colours[one]
    drawn = [
        draw_bodies(picture, vertices[one], models.body.faces, camera[one], whole, mine)
        for vertices, camera in _bodies(people)
    ]
    strip = np.concatenate([draw_keypoints(picture, keypoints, models.threshold), *drawn], axis=1)
    return strip if colours is None else add_spread_legend(strip)


def _draw_figure(
    frame: Frame, people: People, models: BodyModels, colours: Tensor | None, one: slice
) -> Picture:
    """What the network was given of a person, and the mode and mean shape that it says."""
    keypoints = _crop_keypoints(people, one, 1.0)[0]
    confidences = torch.from_numpy(keypoints[:, 2])
    drawn = visible_mask(confidences, models.threshold, models.always_visible)
    columns = {name: values[one][0] for name, values in people.columns.items()}
    height, std = float(columns["height_m"]), float(columns[std_name("height_m")])
    return draw_person_figure(
        FigureParts(
            crop=_cut_out(frame, people, one, SQUARE),
            edges=columns[EDGES].cpu().numpy(),
            keypoints=ProxyKeypoints(keypoints[:, :2], keypoints[:, 2], drawn.numpy()),
            mode=columns["body_vertices"],
            t_pose=models.body.shape(people.columns["shape_mean"][one]).vertices[0],
            faces=models.body.faces,
            camera=columns["camera"],
            spread=columns.get("vertex_spread_m"),
            height=f"{height:.2f} m ± {std:.2f}",
        )
    )


def _draw_samples(
    frame: Frame, people: People, models: BodyModels, colours: Tensor | None, one: slice
) -> Picture:
    """Mode and best samples over the crop, from the front and from the side."""
    mode = people.columns["body_vertices"][one]
    bodies = torch.cat([mode, people.columns["sample_vertices"][one][0]])
    picture = _cut_out(frame, people, one, _SAMPLE_SIZE)
    camera, whole = people.columns["camera"][one], _whole(_SAMPLE_SIZE, models)
    faces = models.body.faces
    normals = vertex_normals(bodies, faces)
    over = draw_each(picture, bodies, faces, camera, whole, normals)
    views = draw_views(bodies, faces, size=_SAMPLE_SIZE, width=_SAMPLE_SIZE, normals=normals)
    return np.concatenate([_captions(len(bodies)), np.concatenate(over, axis=1), views], axis=0)


@cache
def _captions(num_bodies: int) -> Picture:
    """What the columns of `samples` show."""
    captions = np.full((26, num_bodies * _SAMPLE_SIZE, 3), 255, np.uint8)
    for number in range(num_bodies):
        caption = f"sample {number}" if number else "the most probable body"
        write_text(captions, caption, (number * _SAMPLE_SIZE + 6, 18), 0.44)
    return captions


_OF_A_PERSON: tuple[tuple[str, Callable[..., Picture], str], ...] = (
    ("crops", _draw_crop, "crop"),
    ("figure", _draw_figure, "figure"),
    ("samples", _draw_samples, "samples"),
)
"""Kinds of pictures of one person, what draws them, and their word in names of files."""


def _cut_out(frame: Frame, people: People, one: slice, size: int) -> Picture:
    """The square that the network saw of a person."""
    assert frame.image is not None, "only decoded frames have people"
    return cut_out_crop(frame.image, people.columns["crop"][one][0].tolist(), size)


def _crop_keypoints(people: People, one: slice, size: float) -> np.ndarray:
    """(1, 17, 3) keypoints of a person in its crop of this size."""
    keypoints = people.columns["keypoints"][one].cpu().clone()
    crop = people.columns["crop"][one].cpu()[:, None]
    keypoints[..., :2] = image_to_crop(keypoints[..., :2], crop, size)
    return keypoints.numpy()


def _whole(size: int, models: BodyModels) -> Tensor:
    """The crop record of a picture that is the crop."""
    return torch.tensor([[size / 2, size / 2, float(size)]], device=models.device)


def _bodies(people: People) -> list[tuple[Tensor, Tensor]]:
    """Meshes and cameras of the modes and, where there are any, the refined bodies."""
    names = [("body_vertices", "camera")]
    if refined_name("camera") in people.columns:
        names.append((refined_name("body_vertices"), refined_name("camera")))
    return [(people.columns[mesh], people.columns[camera]) for mesh, camera in names]


def _encode(picture: Picture, extension: str) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(f".{extension}", bgr, list(_ENCODING[extension]))
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} could not be encoded")
    return data.tobytes()
