"""Synthetic training pictures: random bodies in random clothes before random backgrounds.

A picture is rendered straight into the 256 px crop that prediction would cut around the person:
the 3:4 box, enlarged, stands in the middle columns of the square, and the rest is black. All
pictures of a batch are made at once, on the device of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.look.clothing import (
    face_regions,
    pixel_albedo,
    pixel_folds,
    random_wardrobe,
)
from hierprob3d.training.look.lighting import lit, random_lights
from hierprob3d.training.look.occlusion import (
    MissingPerson,
    missing_person,
    random_objects,
)
from hierprob3d.training.look.surface import SurfacePixels, VertexNormals
from hierprob3d.training.look.textures import Textures
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import Draws

from .posed_people import PosedPeopleSampler, at_keypoints


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
        textures: where skin and clothes come from; None draws clothes.
    """

    def __init__(
        self,
        body: Body,
        poses: PoseSampler,
        backgrounds: Backgrounds,
        config: SynthesisConfig | None = None,
        textures: Textures | None = None,
    ) -> None:
        self.body, self.poses, self.backgrounds = body, poses, backgrounds
        self.config, self.textures = config or SynthesisConfig(), textures
        self.people = PosedPeopleSampler(body, poses, self.config)
        self._regions = face_regions(body.v_template, body.faces, self.people.face_parts)
        self._vertex_normals = VertexNormals(body.faces, body.num_vertices)

    @torch.no_grad()
    def sample(
        self, generator: torch.Generator, num: int, rows: Tensor | None = None
    ) -> SyntheticBatch:
        """`num` pictures; the same state of the generator gives the same pictures.

        Args:
            generator: on the device of the body.
            num: pictures, all made at once.
            rows: (num,) numbers of the recorded poses to take as they are; None draws.
        """
        draws, config = Draws(generator), self.config
        people = self.people.sample(draws, num, rows)
        keypoints = people.framed.keypoints
        fragments = self.people.rasterized(people)
        pixels = SurfacePixels.of(fragments, self.body.faces)
        colours = self._colours(draws, pixels, people.vertices, people.framed.eye)
        parts = self.people.face_parts[pixels.face]
        missing = missing_person(draws, pixels, parts, num, config)
        covered = random_objects(draws, num, config)
        frame = self.people.frames(draws, people)
        rgb = self._compose(draws, pixels, colours, missing, covered)
        outside = ~at_keypoints(frame, keypoints)
        hidden = self.people.hidden_by_body(fragments, people) | missing.keypoints
        for mask in (missing.halves, covered):
            hidden |= at_keypoints(mask, keypoints)
        return SyntheticBatch(
            rgb=_through_camera(draws, rgb, config) * frame[:, None],
            joints2d=keypoints[..., :2],
            outside=outside,
            hidden=hidden & ~outside,
            rotvecs=people.rotvecs,
            betas=people.betas,
            silhouette=fragments.mask,
        )

    def _colours(
        self, draws: Draws, pixels: SurfacePixels, vertices: Tensor, eye: Tensor
    ) -> Tensor:
        """Lit colours (N, 3) of the pixels that see a body."""
        num = len(vertices)
        normal = pixels.interpolate(self._vertex_normals(vertices))
        if self.textures is not None:
            albedo = self.textures.albedo(self.textures.draw(draws, num), pixels)
        else:
            wardrobe, region = random_wardrobe(draws, num), self._regions[pixels.face]
            rest = pixels.interpolate(self.body.v_template)
            albedo = pixel_albedo(wardrobe, pixels.person, region, rest)
            normal = normal + pixel_folds(wardrobe, pixels.person, region, rest)
        lights = random_lights(draws, num, self.config)
        return lit(lights, pixels.person, albedo, normal, pixels.interpolate(vertices), eye)

    def _compose(
        self,
        draws: Draws,
        pixels: SurfacePixels,
        colours: Tensor,
        missing: MissingPerson,
        covered: Tensor,
    ) -> Tensor:
        """People before backgrounds and behind objects, (B, 3, 256, 256)."""
        rgb = self.backgrounds.sample(draws, len(covered), PROXY_SIZE)
        objects = rgb.roll(1, 0).flip(2)  # they look like another picture's background
        seen = (pixels.person, pixels.row, pixels.column)
        rgb[seen] = torch.where(missing.pixels[:, None], rgb[seen], colours)
        rgb = torch.where(covered[..., None], objects, rgb)
        return rgb.permute(0, 3, 1, 2).contiguous()


def _through_camera(draws: Draws, rgb: Tensor, config: SynthesisConfig) -> Tensor:
    """Blur, channel gains and noise of a camera on (B, 3, H, W) pictures."""
    num = len(rgb)
    centre, side = blur_taps(draws.uniform(0, config.max_blur, num, 1, 1, 1))
    for dim in (-1, -2):
        rgb = centre * rgb + side * (rgb.roll(1, dim) + rgb.roll(-1, dim))
    gain = 1 + config.channel_noise * draws.uniform(-1, 1, num, 3, 1, 1)
    noise = draws.normal(1.0, *rgb.shape) * draws.uniform(0, config.pixel_noise, num, 1, 1, 1)
    return (rgb * gain + noise).clamp(0, 1)


def blur_taps(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the centre and of each neighbour of a 3-tap blur with deviation `sigma` px.

    The side weight is half the variance, as of any such kernel, at most that of a flat kernel.
    """
    side = (sigma**2 / 2).clamp(max=1 / 3)
    return 1 - 2 * side, side
