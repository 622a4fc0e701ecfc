"""Synthetic training pictures: random bodies in random clothes before random backgrounds.

A picture is rendered straight into the 256 px crop that prediction would cut around the person:
the 3:4 box, enlarged, stands in the middle columns of the square, and the rest is black.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from configs.training import SynthesisConfig
from model.body import Body
from model.cameras import half_turn_x
from model.proxy import PROXY_SIZE
from model.rasterizer import Fragments, interpolate, rasterize
from model.rotations import rotvec_to_rotmat
from model.skeleton import NUM_BETAS
from training.backgrounds import Backgrounds
from training.clothing import face_regions, pixel_albedo, pixel_folds, random_wardrobe
from training.poses import PoseSampler

_LEGS = (5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
_ARMS = (3, 4, 19, 20, 21, 22)
_BOX_ASPECT = 3 / 4


@dataclass(frozen=True)
class SyntheticBatch:
    """Pictures and the truth behind them.

    Attributes:
        rgb: (B, 3, 256, 256) 0..1.
        joints2d: (B, 17, 2) true COCO keypoints, px of the crop.
        outside: (B, 17) keypoint outside the picture.
        hidden: (B, 17) keypoint behind the body or an object.
        rotvecs: (B, 24, 3) pose, the pelvis first.
        betas: (B, 10).
        silhouette: (B, 256, 256) pixels of the body, also where something stands before it.
    """

    rgb: Tensor
    joints2d: Tensor
    outside: Tensor
    hidden: Tensor
    rotvecs: Tensor
    betas: Tensor
    silhouette: Tensor


class SyntheticPeople:
    """Source of endless synthetic pictures.

    Args:
        body: the body model; needs DensePose-like parts per face.
        poses: where poses come from.
        backgrounds: where backgrounds and objects come from.
        config: see SynthesisConfig.
    """

    def __init__(
        self,
        body: Body,
        poses: PoseSampler,
        backgrounds: Backgrounds,
        config: SynthesisConfig | None = None,
    ) -> None:
        if body.face_parts is None or body.vertex_parts is None:
            raise ValueError(
                "synthetic clothes need the body file's parts (part_f, part_v); "
                "the bundled OpenBody has them"
            )
        self.body, self.poses, self.backgrounds = body, poses, backgrounds
        self.config = config or SynthesisConfig()
        device = body.faces.device
        parts = torch.as_tensor(body.face_parts, device=device)
        self._regions = face_regions(body.v_template, body.faces, parts)
        vertex_parts = torch.as_tensor(body.vertex_parts, device=device)
        legs = torch.isin(vertex_parts, torch.tensor(_LEGS, device=device))
        arms = torch.isin(vertex_parts, torch.tensor(_ARMS, device=device))
        self._boxed = torch.stack([torch.ones_like(legs), ~legs, ~(legs | arms)])

    @torch.no_grad()
    def sample(self, rng: np.random.Generator, num: int) -> SyntheticBatch:
        """`num` pictures; the same generator state gives the same pictures."""
        device = self.body.faces.device
        rotvecs = _tensor(self.poses.sample(rng, num), device)
        betas = _tensor(random_betas(rng, num, self.config), device)
        rotmats = rotvec_to_rotmat(rotvecs)
        vertices, joints = self.body(betas, rotmats[:, 1:], rotmats[:, 0])
        keypoints = self.body.coco_joints(vertices, joints)
        screen, screen_keypoints = self._frame(rng, half_turn_x(vertices), half_turn_x(keypoints))
        fragments = rasterize(screen, self.body.faces, PROXY_SIZE, PROXY_SIZE, cull_back_faces=True)
        person = self._shade(rng, fragments, half_turn_x(vertices))
        rgb, covered, frame = self._compose(rng, person, fragments.mask)
        outside = _look_up(frame, screen_keypoints, outside=0) == 0
        hidden = self._hidden_by_body(fragments, screen_keypoints)
        hidden |= _look_up(covered, screen_keypoints, outside=0) > 0
        return SyntheticBatch(
            rgb=rgb,
            joints2d=screen_keypoints[..., :2],
            outside=outside,
            hidden=hidden & ~outside,
            rotvecs=rotvecs,
            betas=betas,
            silhouette=fragments.mask,
        )

    def _frame(
        self, rng: np.random.Generator, vertices: Tensor, keypoints: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vertices and keypoints on the screen of the crop: x, y in px, z in metres."""
        config, num, device = self.config, len(vertices), vertices.device
        focal = rng.uniform(*config.focal_length, num)
        jitter = 1 + config.distance_jitter * rng.uniform(-1, 1, num)
        distance = _tensor(focal * config.distance_per_focal * jitter, device)[:, None]
        flat = [_perspective(points, distance) for points in (vertices, keypoints)]
        extreme = rng.random(num) < config.extreme_crop_probability
        kind = _tensor(np.where(extreme, rng.integers(1, 3, num), 0), device)
        centre, side = _tight_box(flat[0], self._boxed[kind])
        box_scale = config.box_scale + config.box_scale_jitter * rng.uniform(-1, 1, num)
        scale = PROXY_SIZE / (side * _tensor(box_scale, device))
        shift = config.box_centre_jitter * rng.uniform(-1, 1, (num, 2)) + PROXY_SIZE / 2
        on_screen = [
            (points[..., :2] - centre[:, None]) * scale[:, None, None]
            + _tensor(shift, device)[:, None]
            for points in flat
        ]
        screens = [
            torch.cat([xy, points[..., 2:]], dim=-1)
            for xy, points in zip(on_screen, flat, strict=True)
        ]
        return screens[0], screens[1]

    def _shade(self, rng: np.random.Generator, fragments: Fragments, vertices: Tensor) -> Tensor:
        """Lit picture of the people alone, (B, 256, 256, 3)."""
        config, num, device = self.config, len(vertices), vertices.device
        seen = fragments.mask
        rest = interpolate(fragments, self.body.faces, self.body.v_template[None])[seen]
        normals = interpolate(fragments, self.body.faces, vertex_normals(vertices, self.body.faces))
        person = torch.arange(num, device=device)[:, None, None].expand_as(seen)[seen]
        region = self._regions[fragments.face_ids[seen]]
        wardrobe = random_wardrobe(rng, num, device)
        normal = normals[seen] + pixel_folds(wardrobe, person, region, rest)
        light = rng.normal(size=(num, 3)) * [1.0, 0.7, 0.5] - [0.0, 0.6, 1.0]  # above, in front
        light_direction = functional.normalize(_tensor(light, device), dim=-1)
        cosine = (functional.normalize(normal, dim=-1) * light_direction[person]).sum(-1)
        ambient = _tensor(rng.uniform(*config.ambient, num), device)
        diffuse = _tensor(rng.uniform(*config.diffuse, num), device)
        brightness = ambient[person] + diffuse[person] * cosine.clamp(min=0)
        picture = torch.zeros(*seen.shape, 3, device=device)
        picture[seen] = pixel_albedo(wardrobe, person, region, rest) * brightness[:, None]
        return picture.clamp(0, 1)

    def _compose(
        self, rng: np.random.Generator, person: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """People before backgrounds, behind objects, within the frame, seen by a camera.

        Returns:
            rgb (B, 3, 256, 256); covered and frame (B, 256, 256) bool.
        """
        num, device = len(person), person.device
        ground = _tensor(self.backgrounds.sample(rng, 2 * num, PROXY_SIZE), device) / 255
        covered = _tensor(random_objects(rng, num, self.config), device)
        frame = _tensor(random_frames(rng, num, self.config), device)
        rgb = torch.where(mask[..., None], person, ground[:num])
        rgb = torch.where(covered[..., None], ground[num:], rgb)
        rgb = _photograph(rng, rgb.permute(0, 3, 1, 2), self.config)
        return rgb * frame[:, None], covered, frame

    def _hidden_by_body(self, fragments: Fragments, keypoints: Tensor) -> Tensor:
        """(B, 17) keypoints well behind the surface seen at their pixel."""
        surface = _look_up(fragments.depth, keypoints, outside=torch.inf)
        return keypoints[..., 2] > surface + self.config.hidden_depth


def random_betas(rng: np.random.Generator, num: int, config: SynthesisConfig) -> np.ndarray:
    """(num, 10) float32 betas of the clipped normal prior."""
    betas = rng.normal(0, config.shape_std, (num, NUM_BETAS))
    betas = betas.clip(-config.shape_clip, config.shape_clip)
    betas[:, 1] = betas[:, 1].clip(min=-2.0)
    return betas.astype(np.float32)


def random_frames(rng: np.random.Generator, num: int, config: SynthesisConfig) -> np.ndarray:
    """(num, 256, 256) bool: the 3:4 content of the crop, sometimes cut by the picture's border."""
    margin = round(PROXY_SIZE * (1 - _BOX_ASPECT) / 2)
    frames = np.zeros((num, PROXY_SIZE, PROXY_SIZE), bool)
    frames[:, :, margin : PROXY_SIZE - margin] = True
    cut = np.flatnonzero(rng.random(num) < config.truncation_probability)
    sides = rng.choice(4, len(cut), p=[0.55, 0.05, 0.2, 0.2])  # bottom, top, left, right
    for index, side in zip(cut, sides, strict=True):
        depth = int(rng.uniform(0.02, 0.45 if side < 2 else 0.35) * PROXY_SIZE)
        turned = np.rot90(frames[index], (2, 0, 3, 1)[side])  # the cut side becomes the top
        turned[:depth] = False
    return frames


def random_objects(rng: np.random.Generator, num: int, config: SynthesisConfig) -> np.ndarray:
    """(num, 256, 256) bool: where an object stands before the person."""
    covered = np.zeros((num, PROXY_SIZE, PROXY_SIZE), np.uint8)
    for index in np.flatnonzero(rng.random(num) < config.occluder_probability):
        for _ in range(rng.integers(1, 3)):
            centre = rng.integers(PROXY_SIZE // 6, PROXY_SIZE * 5 // 6, 2).tolist()
            axes = rng.uniform(0.04, 0.18, 2) * PROXY_SIZE
            if rng.random() < 0.5:
                angle = float(rng.uniform(0, 180))
                cv2.ellipse(covered[index], centre, axes.astype(int).tolist(), angle, 0, 360, 1, -1)
            else:
                box = cv2.boxPoints((centre, (axes * 2).tolist(), float(rng.uniform(0, 90))))
                cv2.fillPoly(covered[index], [box.astype(np.int32)], 1)
    return covered.astype(bool)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (B, V, 3) of a closed mesh, outwards for counter-clockwise faces."""
    a, b, c = vertices[:, faces].unbind(2)
    face_normals = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals.index_add_(1, faces[:, corner], face_normals)
    return functional.normalize(normals, dim=-1)


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on a device, floating point as float32."""
    tensor = torch.as_tensor(array, device=device)
    return tensor.float() if tensor.is_floating_point() else tensor


def _perspective(points: Tensor, distance: Tensor) -> Tensor:
    """Points (B, N, 3) seen from `distance` (B, 1) metres: x, y over relative depth, and z."""
    nearness = distance / (distance + points[..., 2]).clamp(min=0.2)
    return torch.cat([points[..., :2] * nearness[..., None], points[..., 2:]], dim=-1)


def _tight_box(points: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (B, 2) and longer side (B,) of the 3:4 box around the points marked `inside`."""
    low = points[..., :2].masked_fill(~inside[..., None], torch.inf).amin(1)
    high = points[..., :2].masked_fill(~inside[..., None], -torch.inf).amax(1)
    extent = high - low
    return (low + high) / 2, torch.maximum(extent[:, 1], extent[:, 0] / _BOX_ASPECT)


def _look_up(image: Tensor, points: Tensor, outside: float) -> Tensor:
    """Values (B, N) of an image (B, H, W) at the pixels of points (B, N, 2 or more)."""
    pixel = points[..., :2].floor().long()
    size = image.shape[-1]
    within = ((pixel >= 0) & (pixel < size)).all(-1)
    column, row = pixel.clamp(0, size - 1).unbind(-1)
    picture = torch.arange(len(image), device=image.device)[:, None]
    values = image[picture, row, column].float()
    return torch.where(within, values, torch.full_like(values, outside))


def _photograph(rng: np.random.Generator, rgb: Tensor, config: SynthesisConfig) -> Tensor:
    """Blur, channel gains and noise of a camera on (B, 3, H, W) pictures."""
    num, device = len(rgb), rgb.device
    centre, side = blur_taps(_tensor(rng.uniform(0, config.max_blur, num), device))
    for dim in (-1, -2):
        neighbours = rgb.roll(1, dim) + rgb.roll(-1, dim)
        rgb = centre[:, None, None, None] * rgb + side[:, None, None, None] * neighbours
    gain = 1 + config.channel_noise * rng.uniform(-1, 1, (num, 3, 1, 1))
    deviation = rng.uniform(0, config.pixel_noise, (num, 1, 1, 1)).astype(np.float32)
    noise = rng.standard_normal(rgb.shape, dtype=np.float32) * deviation
    return (rgb * _tensor(gain, device) + _tensor(noise, device)).clamp(0, 1)


def blur_taps(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the centre and of each neighbour of a 3-tap blur with deviation `sigma` px.

    The side weight is half the variance, as of any such kernel, at most that of a flat kernel.
    """
    side = (sigma**2 / 2).clamp(max=1 / 3)
    return 1 - 2 * side, side
