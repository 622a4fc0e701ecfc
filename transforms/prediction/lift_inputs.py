"""Stage `proxy` where the weights read coordinates: keypoints and landmarks in people's crops."""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints
from hierprob3d.model.picture.cameras import image_to_crop
from hierprob3d.model.picture.proxy import PROXY_SIZE, person_frames
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import Models

from .detection import KEYPOINTS, LANDMARKS, ROUGH_KEYPOINTS

LIFT_KEYPOINTS = "lift_keypoints"
LIFT_LANDMARKS = "lift_landmarks"
MAY_BE_NAN = (LIFT_KEYPOINTS, LIFT_LANDMARKS)
"""What nobody looked for is not a number."""


def lift_columns(people: People, models: Models) -> Columns:
    """Columns `crop` (P, 3: centre x, centre y, side) and what a `LiftInput` of them holds.

    Args:
        people: With columns bbox, keypoints and rough_keypoints, and landmarks where the keypoint
            model finds them: then its keypoints are landmarks too, and the detector's are added.
            Somebody without landmarks, whose keypoints are given or the detector's, has these.
        models: The keypoint model's scale of confidence, the enlargement of boxes, the device.
    """
    boxes = people.columns["bbox"].numpy()
    frames = person_frames(boxes, models.proxy.box_scale, models.device)
    crop = torch.cat([frames.centres, frames.sizes[:, 1:]], dim=-1)
    keypoints = people.columns[KEYPOINTS].to(models.device).clone()
    keypoints[..., 2] *= (
        MoveNetKeypoints.visibility_threshold / models.keypoints.visibility_threshold
    )
    if (landmarks := people.columns.get(LANDMARKS)) is None:
        seen = LiftInput.of_keypoints(_in_crop(keypoints, crop))
    else:
        landmarks = landmarks.to(models.device)
        is_alone = landmarks.isnan().flatten(1).any(1)[:, None, None]
        rough = people.columns[ROUGH_KEYPOINTS].to(models.device)
        outer = _in_crop(landmarks, crop)
        outer[..., 2] *= (PROXY_SIZE / crop[:, 2])[:, None]
        seen = LiftInput(_in_crop(torch.where(is_alone, keypoints, rough), crop), outer)
    return {"crop": crop, LIFT_KEYPOINTS: seen.keypoints, LIFT_LANDMARKS: seen.landmarks}


def lift_input(people: People) -> LiftInput:
    """What the columns of `lift_columns` hold."""
    return LiftInput(people.columns[LIFT_KEYPOINTS], people.columns[LIFT_LANDMARKS])


def _in_crop(points: Tensor, crop: Tensor) -> Tensor:
    """Points (P, N, 2 + more), x and y from px of the picture to px of the crop."""
    return torch.cat([image_to_crop(points[..., :2], crop[:, None]), points[..., 2:]], dim=-1)
