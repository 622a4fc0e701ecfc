"""The synthetic people that a configuration describes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.look.texture_maps import (
    TextureMap,
    load_densepose_uv,
    own_texture_map,
    with_densepose_parts,
)
from hierprob3d.training.look.textures import Textures
from hierprob3d.training.poses.pose_sampler import PoseSampler, PoseSamplerConfig

from .posed_people import PosedPeopleSampler
from .synthetic_pictures import SyntheticPeople


@dataclass(frozen=True)
class PoseChoice:
    """Which poses people have.

    Attributes:
        path: npz to draw from.
        held_back_every: every so-many-th clip is held back; 0: none.
        only_held_back: draw from these alone.
    """

    path: str
    held_back_every: int = 0
    only_held_back: bool = False

    @classmethod
    def for_training(cls, data: DataConfig) -> PoseChoice:
        """Poses of the training pictures."""
        return cls(data.train_poses, data.held_back_every)

    @classmethod
    def for_validation(cls, data: DataConfig) -> PoseChoice:
        """Poses of the validation pictures, of the same file or another."""
        if data.held_back_every:
            return cls(data.train_poses, data.held_back_every, only_held_back=True)
        return cls(data.val_poses)


def uncut(look: SynthesisConfig) -> SynthesisConfig:
    """The look without anything that cuts or covers people."""
    return replace(
        look, extreme_crop_probability=0.0, truncation_probability=0.0, occluder_probability=0.0
    )


def configured_people(
    data: DataConfig, poses: PoseChoice, device: torch.device | str
) -> SyntheticPeople:
    """Synthetic people, made on `device`.

    Args:
        data: body, textures, backgrounds and look.
        poses: those to draw from.
        device: cpu or cuda.

    Raises:
        FileNotFoundError, ValueError: a file is missing, or is not what it should be.
    """
    body, textures = _dressed_body(data, device)
    return SyntheticPeople(
        body.to(device),
        pose_sampler(data, poses, device),
        Backgrounds(data.backgrounds, data.background_look, device),
        data.synthesis,
        textures,
    )


def posed_people(
    data: DataConfig, poses: PoseChoice, device: torch.device | str
) -> PosedPeopleSampler:
    """The same people without what only pictures need; arguments and errors likewise."""
    body, _ = body_with_parts(data)
    return PosedPeopleSampler(body.to(device), pose_sampler(data, poses, device), data.synthesis)


def pose_sampler(
    data: DataConfig, poses: PoseChoice, device: torch.device | str = "cpu"
) -> PoseSampler:
    """Poses of the people alone; arguments and errors as of `configured_people`."""
    config = PoseSamplerConfig(
        tiers=data.pose_tiers,
        prefixes=data.pose_prefixes,
        held_back_every=poses.held_back_every,
        only_held_back=poses.only_held_back,
        recombine=data.recombine_poses,
        camera_pitch_std=data.synthesis.camera_pitch_std,
        camera_roll_std=data.synthesis.camera_roll_std,
        tumbled=data.synthesis.tumbled,
        contorted=data.synthesis.contorted,
    )
    return PoseSampler(poses.path, config, device)


def _dressed_body(data: DataConfig, device: torch.device | str) -> tuple[Body, Textures | None]:
    """The body and its textures."""
    body, densepose = body_with_parts(data)
    if data.textures is None:
        return body, None
    return body, Textures(data.textures, densepose or own_texture_map(body), device)


def body_with_parts(data: DataConfig) -> tuple[Body, TextureMap | None]:
    """The body, and DensePose's faces where their file is given; errors as above."""
    body = load_body(data.body_model)
    if data.densepose_uv is None:
        return body, None
    densepose = load_densepose_uv(data.densepose_uv, body)
    return with_densepose_parts(body, densepose), densepose
