"""Stored bodies, seen from a new side in a new crop every time they are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.skeleton import NUM_JOINTS, NUM_KEYPOINTS
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.framing import boxed_vertices, frame_people
from hierprob3d.training.people.posed_people import random_betas
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import Draws

from .hidden_points import hidden_by_body, masks_at
from .point_body import BodyPoints, PointBody

_BODIES_AT_ONCE = 2048
_HIPS = (11, 12)
_OUTLINE_LACKS = 1.01


@dataclass(frozen=True)
class Views:
    """What is true of B people in their crops; places in px of the 256 px crop.

    Attributes:
        keypoints: (B, 17, 2) COCO keypoints.
        outside: (B, 17) bool.
        hidden: (B, 17) bool, within the picture.
        landmarks: (B, 33, 2) where BlazePose would have its landmarks.
        depth: (B, 33) px behind the middle of the hips.
        joints2d: (B, 24, 2) SMPL joints.
        rotmats: (B, 24, 3, 3) relative to the parents, the global rotation first.
        betas: (B, 10).
    """

    keypoints: Tensor
    outside: Tensor
    hidden: Tensor
    landmarks: Tensor
    depth: Tensor
    joints2d: Tensor
    rotmats: Tensor
    betas: Tensor

    def __len__(self) -> int:
        return len(self.betas)

    def __getitem__(self, people: slice | Tensor) -> Views:
        return Views(**{name: values[people] for name, values in vars(self).items()})

    def as_rendered(self) -> RenderedSet:
        """The same people with one empty pixel for a picture, as errors of keypoints take them."""
        num = len(self)
        return RenderedSet(
            edges=torch.zeros(num, 1, 1, dtype=torch.uint8),
            joints2d=self.keypoints,
            outside=self.outside,
            hidden=self.hidden,
            rotvecs=torch.zeros(num, NUM_JOINTS, 3),
            betas=self.betas,
        )


class ViewSource:
    """Bodies kept as points in half precision, 1.2 kB each, and views of them.

    Args:
        body: what poses become points by.
        poses: where poses come from; its cameras turn them too.
        config: shapes, cameras, crops, objects.
        num_bodies: bodies made.
        draws: decides the bodies.
    """

    def __init__(
        self,
        body: PointBody,
        poses: PoseSampler,
        config: SynthesisConfig,
        num_bodies: int,
        draws: Draws,
    ) -> None:
        self.poses = poses
        self.config = replace(config, box_scale=config.box_scale * _OUTLINE_LACKS)
        self._boxed = boxed_vertices(body.outline_parts)
        points, rotvecs, betas = [], [], []
        for start in range(0, num_bodies, _BODIES_AT_ONCE):
            num = min(_BODIES_AT_ONCE, num_bodies - start)
            rotvecs.append(poses.bodies(draws, num))
            betas.append(random_betas(draws, num, config))
            made = body.points(betas[-1], rotvec_to_rotmat(rotvecs[-1]))
            points.append(made.joined().half())
        self.points = torch.cat(points)
        self.rotvecs, self.betas = torch.cat(rotvecs).half(), torch.cat(betas)

    def __len__(self) -> int:
        return len(self.betas)

    def see(self, draws: Draws, num: int) -> Views:
        """New views of `num` of the bodies, any of them."""
        people = draws.below(len(self), num)
        rotmats = rotvec_to_rotmat(self.rotvecs[people].float())
        turn = self.poses.turned(draws, torch.eye(3).expand(num, 3, 3))
        rotmats[:, 0] = turn @ rotmats[:, 0]
        points = self.points[people].float()
        pelvis = points[:, :1]
        turned = BodyPoints.split(half_turn_x((points - pelvis) @ turn.mT + pelvis))
        inner = torch.cat([turned.joints, turned.keypoints, turned.landmarks], dim=1)
        framed = frame_people(draws, turned.outline, inner, self._boxed, self.config)
        metre = framed.scale[:, None, None]
        screen = torch.cat([framed.keypoints[..., :2] / metre, framed.keypoints[..., 2:]], dim=-1)
        joints, keypoints = screen[:, :NUM_JOINTS], screen[:, NUM_JOINTS:][:, :NUM_KEYPOINTS]
        places = framed.keypoints[..., :2]
        joints2d, keypoints2d, landmarks = places.split(
            [NUM_JOINTS, NUM_KEYPOINTS, turned.landmarks.shape[1]], dim=1
        )
        masks = masks_at(keypoints2d, draws, self.config)
        hidden = hidden_by_body(joints, keypoints, self.config.hidden_depth) | masks.covered
        hips = keypoints[:, list(_HIPS), 2].mean(1, keepdim=True)
        return Views(
            keypoints=keypoints2d,
            outside=masks.outside,
            hidden=hidden & ~masks.outside,
            landmarks=landmarks,
            depth=(turned.landmarks[..., 2] - hips) * metre[..., 0],
            joints2d=joints2d,
            rotmats=rotmats,
            betas=self.betas[people],
        )
