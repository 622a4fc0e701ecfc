"""Videos of rendered people who walk, jog and wave, with the truth of who is where in which pose.

OpenBody with clothes of the training's pictures, before one drawn room; a pinhole camera stands
still. People go round ellipses, so that they pass before each other again and again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.picture.rasterizer import rasterize
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.look.clothing import (
    face_regions,
    pixel_albedo,
    pixel_folds,
    random_wardrobe,
)
from hierprob3d.training.look.drawn_rooms import draw_room
from hierprob3d.training.look.lighting import lit, random_lights
from hierprob3d.training.look.surface import SurfacePixels, VertexNormals
from hierprob3d.training.random.draws import Draws

WIDTH, HEIGHT, FOCAL = 640, 480, 620.0
_DEPTH, _RADII = 5.5, (1.5, 1.1)
"""Metres: how far away the middle of the ellipses is, and their half axes, across and along."""

_CAMERA_HEIGHT = -0.1
"""Of the camera over the people's hips, metres."""


@dataclass(frozen=True)
class Scene:
    """K people in T frames."""

    times: np.ndarray
    """(T,) s."""
    rotmats: Tensor
    """(T, K, 24, 3, 3), the pelvis first, body frame."""
    places: Tensor
    """(T, K, 3) added to points of the camera frame, metres."""
    betas: Tensor
    """(K, 10)."""


@dataclass(frozen=True)
class Truth:
    """What is to be found of a scene."""

    joints: np.ndarray
    """(T, K, 24, 3) in the camera frame from the pelvis, metres."""
    boxes: np.ndarray
    """(T, K, 4) around the whole mesh, px."""
    visible: np.ndarray
    """(T, K) share of the person's pixels that nobody stands before; 0 out of the picture."""


def walking_scene(seed: int, num_people: int, seconds: float, fps: float) -> Scene:
    """People with strides, speeds, shapes and starts of their own; one jogs and one waves."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(num_people, generator=generator)

    times = torch.arange(round(seconds * fps)) / fps
    direction = torch.where(torch.rand(num_people, generator=generator) < 0.5, 1.0, -1.0)
    is_jogging = torch.arange(num_people) == 1
    speed = torch.where(is_jogging, uniform(1.6, 2.0), uniform(0.7, 1.2))
    radius = torch.tensor(_RADII) * uniform(0.7, 1.15)[:, None]
    start = 2 * math.pi * (torch.arange(num_people) / num_people) + uniform(-0.5, 0.5)
    turn = direction * (start + times[:, None] * speed / radius.mean(-1))
    x, z = radius[:, 0] * turn.cos(), radius[:, 1] * turn.sin()
    along = torch.stack([-radius[:, 0] * turn.sin(), radius[:, 1] * turn.cos()], -1)
    along = along * direction[:, None]
    # A body at rest looks at the camera: along -z of the camera frame.
    yaw = torch.atan2(along[..., 0], -along[..., 1])
    strides = torch.where(is_jogging, uniform(1.25, 1.4), uniform(0.8, 1.0))
    phase = 2 * math.pi * (strides * times[:, None] + uniform(0, 1))
    rotvecs = _gait(phase, times, is_jogging)
    rotmats = rotvec_to_rotmat(rotvecs)
    upright = torch.zeros(*yaw.shape, 3)
    upright[..., 1] = yaw
    rotmats[:, :, 0] = rotvec_to_rotmat(upright) @ rotmats[:, :, 0]
    bob = 0.02 * (2 * phase).cos()
    places = torch.stack([x, _CAMERA_HEIGHT + bob, _DEPTH + z], dim=-1)
    betas = torch.randn(num_people, 10, generator=generator).clamp(-2, 2)
    return Scene(times.numpy(), rotmats, places, betas)


def _gait(phase: Tensor, times: Tensor, is_jogging: Tensor) -> Tensor:
    """(T, K, 24, 3) rotation vectors of strides at phases (T, K); the third person waves."""
    pose = torch.zeros(*phase.shape, 24, 3)
    swing = torch.where(is_jogging, 0.75, 0.45)
    for side, hip, knee, ankle, shoulder, elbow in ((1, 1, 4, 7, 16, 18), (-1, 2, 5, 8, 17, 19)):
        leg = phase if side > 0 else phase + math.pi
        pose[..., hip, 0] = -swing * leg.sin() - 0.1
        pose[..., knee, 0] = (0.9 * swing * (1 + (leg + 2.2).sin()) + 0.08).clamp(min=0)
        pose[..., ankle, 0] = 0.25 * (leg + 0.8).sin()
        pose[..., shoulder, 2] = -side * 1.25
        pose[..., shoulder, 0] = 0.9 * swing * leg.sin()
        pose[..., elbow, 1] = -side * torch.where(is_jogging, 1.3, 0.35)
    pose[..., 3, 1] = 0.12 * phase.sin()
    pose[..., 0, 2] = 0.05 * phase.sin()
    pose[..., 15, 1] = 0.2 * (0.3 * phase).sin()
    if pose.shape[1] > 2:
        pose[:, 2, 17, 2] = -0.6
        pose[:, 2, 17, 0] = 0.0
        pose[:, 2, 19, 1] = 0.0
        pose[:, 2, 19, 2] = -1.0 + 0.5 * (2 * math.pi * 1.1 * times).sin()
    return pose


def render_scene(scene: Scene, path: Path, fps: int, seed: int = 0) -> Truth:
    """Writes the scene as an mp4, and returns what is to be found in it."""
    body = load_body("open")
    look = _Look(body, len(scene.betas), seed)
    joints, boxes, visible = [], [], []
    shaped = body.shape(scene.betas)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "16"}
        for rotmats, places in zip(scene.rotmats, scene.places, strict=True):
            posed = body.pose(shaped, rotmats[:, None, 1:], rotmats[:, 0])
            mesh, skeleton = (half_turn_x(points[:, 0]) for points in posed)
            mesh = mesh - skeleton[:, :1] + places[:, None]
            picture, seen = look.draw(mesh)
            joints.append(skeleton - skeleton[:, :1])
            screen = _project(mesh)[..., :2]
            boxes.append(torch.cat([screen.amin(1), screen.amax(1)], dim=-1))
            visible.append(seen)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return Truth(torch.stack(joints).numpy(), torch.stack(boxes).numpy(), np.stack(visible))


class _Look:
    """Clothes, light and room of a scene."""

    def __init__(self, body: Body, num_people: int, seed: int) -> None:
        assert body.face_parts is not None
        self._body = body
        draws = Draws(torch.Generator().manual_seed(seed))
        parts = torch.as_tensor(body.face_parts).long()
        self._regions = face_regions(body.v_template, body.faces, parts)
        self._normals = VertexNormals(body.faces, body.num_vertices)
        self._wardrobe = random_wardrobe(draws, num_people)
        self._lights = random_lights(draws, num_people, SynthesisConfig())
        room = draw_room(np.random.default_rng(seed), 320)
        room = cv2.resize(room, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        self._room = torch.from_numpy(room).float() / 255

    def draw(self, mesh: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Picture (H, W, 3) of people (K, V, 3), and the shares of them that are seen."""
        fragments = rasterize(_project(mesh), self._body.faces, HEIGHT, WIDTH, cull_back_faces=True)
        pixels = SurfacePixels.of(fragments, self._body.faces)
        region = self._regions[pixels.face]
        rest = pixels.interpolate(self._body.v_template)
        normal = pixels.interpolate(self._normals(mesh))
        normal = normal + pixel_folds(self._wardrobe, pixels.person, region, rest)
        albedo = pixel_albedo(self._wardrobe, pixels.person, region, rest)
        eye = torch.zeros(len(mesh), 3)
        point = pixels.interpolate(mesh)
        colours = lit(self._lights, pixels.person, albedo, normal, point, eye)
        nearest = fragments.depth.argmin(0)[pixels.row, pixels.column] == pixels.person
        picture = self._room.clone()
        picture[pixels.row[nearest], pixels.column[nearest]] = colours[nearest]
        count = [torch.bincount(people, minlength=len(mesh)).clamp(min=1)
                 for people in (pixels.person[nearest], pixels.person)]  # fmt: skip
        shown = count[0] / count[1] * fragments.mask.flatten(1).any(1)
        return (255 * picture).round().byte().numpy(), shown.numpy()


def _project(points: Tensor) -> Tensor:
    """(..., 3) screen x, y in px and depth, of points of the camera frame."""
    z = points[..., 2:].clamp(min=0.2)
    middle = points.new_tensor([WIDTH / 2, HEIGHT / 2])
    return torch.cat([points[..., :2] / z * FOCAL + middle, z], dim=-1)
