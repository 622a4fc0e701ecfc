"""People in the whole picture: its size and focal length, what of them it shows, how sure that is.

Part of the stage `body`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import BODY_PARTS
from hierprob3d.model.estimate.in_view import joint_visibility, truncation
from hierprob3d.model.estimate.quality import bundled_quality, quality_features
from hierprob3d.model.picture.cameras import half_turn_x, project_body
from hierprob3d.model.picture.part_colours import part_colours
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Frame

IMAGE_SIZE = "image_size"
"""Width and height of the picture of each person (P, 2), which rows do not have."""


def full_frame_columns(
    people: People, frames: Sequence[Frame], models: Models, focal_px: float | None
) -> Columns:
    """Columns image_size (P, 2), focal_px and focal_assumed (P,) and colours (P, 5, 3).

    Args:
        people: With columns `frame` and `keypoints`.
        frames: Decoded ones, by `frame`.
        models: Without a detector pictures are cut out already, so that their files' focal lengths
            are those of other pictures.
        focal_px: The user's, for all; None: what each file tells, otherwise the diagonal.
    """
    told = [_told(frame, focal_px, models) for frame in frames]
    sizes = [_size(frame) for frame in frames]
    assumed = [focal is None for focal in told]
    focals = [focal or math.hypot(*size) for focal, size in zip(told, sizes, strict=True)]
    places = people.columns["frame"]

    def of_people(values: Sequence[object]) -> Tensor:
        return torch.tensor(values)[places].to(models.device)

    return {
        IMAGE_SIZE: of_people(sizes).float(),
        "focal_px": of_people(focals).float(),
        "focal_assumed": of_people(assumed),
        "colours": _colours(people, frames),
    }


def view_columns(people: People, models: Models) -> Columns:
    """Columns truncation and quality (P,) and visibility (P, 24).

    Args:
        people: With the columns of the distribution, the mode's body and the full frame.
        models: The body model.
    """
    columns, device = people.columns, models.device
    camera, crop = columns["camera"], columns["crop"].to(device)
    joints = half_turn_x(columns["joints3d"] + columns["pelvis"][:, None])
    joints2d, vertices2d = (
        project_body(points, camera, crop) for points in (joints, columns["body_vertices"])
    )
    confidences = columns["keypoints"][..., 2].to(device)
    outside = truncation(vertices2d, columns[IMAGE_SIZE], models.surface_shares)
    features = quality_features(columns | {"truncation": outside})
    return {
        "truncation": outside,
        "visibility": joint_visibility(confidences, joints2d, columns[IMAGE_SIZE]),
        "quality": bundled_quality().of(features),
    }


def _colours(people: People, frames: Sequence[Frame]) -> Tensor:
    """(P, 5, 3) of `part_colours`, frame by frame."""
    places, keypoints = (people.columns[name].numpy(force=True) for name in ("frame", "keypoints"))
    colours = np.empty((len(people), len(BODY_PARTS), 3), np.float32)
    for place in np.unique(places):
        image, mine = frames[place].image, places == place
        assert image is not None, "only decoded frames have people"
        colours[mine] = part_colours(image, keypoints[mine])
    return torch.from_numpy(colours)


def _told(frame: Frame, focal_px: float | None, models: Models) -> float | None:
    """The focal length of a picture, as far as somebody knows it."""
    if focal_px is not None:
        return focal_px
    return None if models.detector is None else frame.focal_px


def _size(frame: Frame) -> tuple[int, int]:
    assert frame.image is not None, "only decoded frames have people"
    return frame.image.shape[1], frame.image.shape[0]
