"""The synthetic people that a configuration describes, and what is written down about them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from configs.training import DataConfig
from model.body import Body, load_body
from model.weight_files import whole_files
from training.backgrounds import DRAWN, Backgrounds
from training.posed_people import PosedPeopleSampler
from training.poses import PoseSampler, PoseSamplerConfig
from training.synthetic import SyntheticPeople
from training.texture_maps import (
    TextureMap,
    load_densepose_uv,
    own_texture_map,
    with_densepose_parts,
)
from training.textures import Textures

DESCRIPTION_FILE = "description.json"


@dataclass(frozen=True)
class PoseChoice:
    """Which poses people have.

    Attributes:
        path: npz to draw from.
        every: every so-many-th clip is held back; 0: none.
        only_held_back: draw from these alone.
    """

    path: str
    every: int = 0
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
    body, _ = _body_with_parts(data)
    return PosedPeopleSampler(body.to(device), pose_sampler(data, poses, device), data.synthesis)


def pose_sampler(
    data: DataConfig, poses: PoseChoice, device: torch.device | str = "cpu"
) -> PoseSampler:
    """Poses of the people alone; arguments and errors as of `configured_people`."""
    config = PoseSamplerConfig(
        tiers=data.pose_tiers,
        prefixes=data.pose_prefixes,
        held_back_every=poses.every,
        only_held_back=poses.only_held_back,
        recombine=data.recombine_poses,
        camera_pitch_std=data.synthesis.camera_pitch_std,
        camera_roll_std=data.synthesis.camera_roll_std,
    )
    return PoseSampler(poses.path, config, device)


def describe(
    folder: Path, people: SyntheticPeople, data: DataConfig, poses: PoseChoice, seed: int
) -> None:
    """Writes description.json of the pictures of a folder, or checks that its own says the same.

    Raises:
        ValueError: the folder's pictures were made with other settings.
    """
    description = {
        **_settings(data, poses, seed),
        "body_sha256": people.body.sha256,
        "textures": DRAWN if people.textures is None else people.textures.digest,
        "backgrounds": people.backgrounds.digest,
    }
    path = folder / DESCRIPTION_FILE
    if path.exists():
        _check_same(folder, description, _description(folder))
        return
    with whole_files([path]) as [unfinished]:  # other processes may be about to read it
        unfinished.write_text(json.dumps(description, indent=2))


def check_described(folder: Path, data: DataConfig, poses: PoseChoice, seed: int) -> None:
    """As `describe` for pictures that are all there: their backgrounds and textures need not be.

    Raises:
        FileNotFoundError: the folder has no description, or the body is missing.
        ValueError: its pictures were made with other settings.
    """
    body, _ = _body_with_parts(data)
    expected = {**_settings(data, poses, seed), "body_sha256": body.sha256}
    found = _description(folder)
    for name in ("textures", "backgrounds"):
        expected[name] = getattr(data, name) is None
        found[name] = found[name] == DRAWN
    _check_same(folder, expected, found)


def _settings(data: DataConfig, poses: PoseChoice, seed: int) -> dict[str, Any]:
    """What decides how pictures look, but for the files of bodies, textures and backgrounds."""
    return {
        "poses_sha256": hashlib.sha256(Path(poses.path).read_bytes()).hexdigest(),
        "pose_tiers": data.pose_tiers,
        "pose_prefixes": list(data.pose_prefixes),
        "held_back_every": poses.every,
        "only_held_back": poses.only_held_back,
        "recombine_poses": data.recombine_poses,
        "background_look": json.loads(json.dumps(asdict(data.background_look))),
        "synthesis": json.loads(json.dumps(asdict(data.synthesis))),
        "stored_stride": data.stored_stride,
        "seed": seed,
        "online": data.online,
    }


def _description(folder: Path) -> dict[str, Any]:
    """What is written down of a folder's pictures; older ones do not mention held-back clips."""
    path = folder / DESCRIPTION_FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has pictures but no {DESCRIPTION_FILE}: restore it, or remove the folder"
        )
    return {"held_back_every": 0, "only_held_back": False, **json.loads(path.read_text())}


def _check_same(folder: Path, expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Raises ValueError where a folder's description says something else."""
    different = [name for name, value in expected.items() if found.get(name) != value]
    if different:
        raise ValueError(
            f"{folder} holds pictures made with other settings ({', '.join(different)}; see its "
            f"{DESCRIPTION_FILE}); choose another --experiment or remove the folder"
        )


def _dressed_body(data: DataConfig, device: torch.device | str) -> tuple[Body, Textures | None]:
    """The body and its textures."""
    body, densepose = _body_with_parts(data)
    if data.textures is None:
        return body, None
    return body, Textures(data.textures, densepose or own_texture_map(body), device)


def _body_with_parts(data: DataConfig) -> tuple[Body, TextureMap | None]:
    """The body, and DensePose's faces where their file is given."""
    body = load_body(data.body_model)
    if data.densepose_uv is None:
        return body, None
    densepose = load_densepose_uv(data.densepose_uv, body)
    return with_densepose_parts(body, densepose), densepose
