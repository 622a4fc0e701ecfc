"""Random bodies before random cameras: what people with and without a picture begin with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.mesh_body import Body, ShapedBody
from hierprob3d.model.body.skeleton import NUM_BETAS
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.picture.proxy import PROXY_SIZE, unoccluded_mask
from hierprob3d.model.picture.rasterizer import Fragments, rasterize
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.look.occlusion import random_frames
from hierprob3d.training.look.thick_clothes import GARMENTS, ThickClothes
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import Draws

from .framing import FramedPeople, boxed_vertices, frame_people, inside_picture


@dataclass(frozen=True)
class PosedPeople:
    """B people.

    Attributes:
        rotvecs: (B, 24, 3) pose, the pelvis first.
        betas: (B, 10).
        vertices: (B, V, 3) of what is seen of them: their skin, or thick clothes over it; metres,
            y down, z away from the camera.
        thickness: (B, 3) metres of these clothes, see `training.look.thick_clothes.GARMENTS`.
        framed: vertices and COCO keypoints on the screen of the 256 px crop.
    """

    rotvecs: Tensor
    betas: Tensor
    vertices: Tensor
    thickness: Tensor
    framed: FramedPeople


class PosedPeopleSampler:
    """Draws poses, shapes and cameras, and tells which keypoints the bodies hide.

    Args:
        body: the body model; needs DensePose-like parts per face.
        poses: where poses come from.
        config: see SynthesisConfig.
    """

    def __init__(self, body: Body, poses: PoseSampler, config: SynthesisConfig) -> None:
        if body.face_parts is None or body.vertex_parts is None:
            raise ValueError(
                "synthetic people need the body's parts: set data.densepose_uv for SMPL; the "
                "bundled OpenBody has them"
            )
        self.body, self.poses, self.config = body, poses, config
        device = body.faces.device
        self.face_parts = torch.as_tensor(body.face_parts, device=device).long()
        vertex_parts = torch.as_tensor(body.vertex_parts, device=device)
        self._boxed = boxed_vertices(vertex_parts)
        thickness = config.clothes_thickness
        self._clothes = ThickClothes(body, vertex_parts, thickness) if thickness else None

    def sample(self, draws: Draws, num: int, rows: Tensor | None = None) -> PosedPeople:
        """`num` people, all made at once; `rows` (num,) are recorded poses to take as they are."""
        rotvecs = self.poses.sample(draws, num, rows)
        rotmats = rotvec_to_rotmat(rotvecs)
        betas = random_betas(draws, num, self.config)
        shaped = self.body.shape(betas)
        vertices, keypoints = self._posed(shaped, rotmats)
        thickness = vertices.new_zeros(num, len(GARMENTS))
        if self._clothes is not None:
            thickness = self._clothes.draw(draws, num)
            vertices, _ = self._posed(self._clothes.worn(shaped, thickness), rotmats)
        framed = frame_people(draws, vertices, keypoints, self._boxed, self.config)
        return PosedPeople(rotvecs, betas, vertices, thickness, framed)

    def frames(self, draws: Draws, people: PosedPeople, size: int = PROXY_SIZE) -> Tensor:
        """(B, size, size) where the pictures of people are, in their crops."""
        frames = random_frames(draws, len(people.betas), self.config, size)
        picture = people.framed.picture
        return frames if picture is None else frames & inside_picture(picture, size)

    def rasterized(self, people: PosedPeople, size: int = PROXY_SIZE) -> Fragments:
        """What the pixels of crops of size x size see."""
        scale = people.vertices.new_tensor([size / PROXY_SIZE, size / PROXY_SIZE, 1.0])
        vertices = people.framed.vertices * scale
        return rasterize(
            vertices, self.body.faces, size, size, cull_back_faces=True,
            backend=self.config.renderer,
        )  # fmt: skip

    def hidden_by_body(self, fragments: Fragments, people: PosedPeople) -> Tensor:
        """(B, 17) keypoints that the rasterized body hides, by the configured rule."""
        keypoints = people.framed.keypoints
        if self.config.hidden_rule == "parts":
            parts = self._parts(fragments.face_ids)
            everywhere = torch.ones_like(keypoints[..., 0], dtype=torch.bool)
            return ~unoccluded_mask(parts, everywhere)
        surface = _look_up(fragments.depth, keypoints, outside=torch.inf)
        allowed = self.config.hidden_depth + self._before(fragments, people)
        return keypoints[..., 2] > surface + allowed

    def _before(self, fragments: Fragments, people: PosedPeople) -> Tensor:
        """(B, 17) thickness of the clothes seen at keypoints; () 0 where there are none."""
        if self._clothes is None:
            return people.thickness.new_zeros(())
        seen = _look_up(fragments.face_ids, people.framed.keypoints, outside=-1)
        return self._clothes.at_parts(self._parts(seen), people.thickness)

    def _parts(self, face_ids: Tensor) -> Tensor:
        """DensePose parts 1..24 of faces, 0 where the face is -1."""
        return torch.where(face_ids >= 0, self.face_parts[face_ids], 0)

    def _posed(self, shaped: ShapedBody, rotmats: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices (B, V, 3) and keypoints (B, 17, 3), metres, y down, z away from the camera."""
        posed = self.body.pose(shaped, rotmats[:, None, 1:], rotmats[:, 0])
        vertices, joints = (points[:, 0] for points in posed)
        keypoints = self.body.coco_joints(vertices, joints)
        return half_turn_x(vertices), half_turn_x(keypoints)


def random_betas(draws: Draws, num: int, config: SynthesisConfig) -> Tensor:
    """(num, 10) betas of the clipped normal prior."""
    betas = draws.normal(config.shape_std, num, NUM_BETAS)
    betas = betas.clamp(-config.shape_clip, config.shape_clip)
    betas[:, 1] = betas[:, 1].clamp(min=config.lowest_second_beta)
    return betas


def at_keypoints(mask: Tensor, keypoints: Tensor) -> Tensor:
    """(B, 17) whether keypoints (B, 17, 2 or more), px of the 256 crop, lie on a mask (B, S, S)."""
    return _look_up(mask, keypoints, outside=False)


def _look_up(image: Tensor, points: Tensor, outside: float) -> Tensor:
    """Values (B, N) of a crop (B, S, S) at points (B, N, 2 or more), px of the 256 crop."""
    size = image.shape[-1]
    pixel = (points[..., :2] * (size / PROXY_SIZE)).floor().long()
    within = ((pixel >= 0) & (pixel < size)).all(-1)
    column, row = pixel.clamp(0, size - 1).unbind(-1)
    picture = torch.arange(len(image), device=image.device)[:, None]
    return torch.where(within, image[picture, row, column], outside)
