"""description.json of a folder of pictures: what they were made of, so that none are mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hierprob3d.configs.loading import completed, stored_settings
from hierprob3d.configs.proxy_look import ProxyLook
from hierprob3d.configs.synthetic_people import BackgroundConfig, SynthesisConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.model.files.weight_files import sha256_of
from hierprob3d.training.look.backgrounds import DRAWN

from .descriptions import DESCRIPTION_FILE, check_same, read_description, write_description
from .people_setup import PoseChoice, body_with_parts
from .synthetic_pictures import SyntheticPeople

_SETTINGS_ONCE_MISSING = {
    "held_back_every": 0, "only_held_back": False, "densepose_sha256": None, "bare": False,
    "proxy": stored_settings(ProxyLook()),
}  # fmt: skip


def describe(
    folder: Path, people: SyntheticPeople, data: DataConfig, poses: PoseChoice, seed: int
) -> None:
    """Writes description.json of the pictures of a folder, or checks that its own says the same.

    Raises:
        ValueError: the folder's pictures were made with other settings.
    """
    description = {
        **_settings_of_look(data, poses, seed),
        "body_sha256": people.body.sha256,
        "textures": DRAWN if people.textures is None else people.textures.digest,
        "backgrounds": people.backgrounds.digest,
    }
    if (folder / DESCRIPTION_FILE).exists():
        check_same(folder, description, _description(folder))
    else:
        write_description(folder, description)


def check_described(folder: Path, data: DataConfig, poses: PoseChoice, seed: int) -> None:
    """As `describe` for pictures that are all there: their backgrounds and textures need not be.

    Raises:
        FileNotFoundError: the folder has no description, or the body is missing.
        ValueError: its pictures were made with other settings.
    """
    body, _ = body_with_parts(data)
    expected = {**_settings_of_look(data, poses, seed), "body_sha256": body.sha256}
    found = _description(folder)
    for name in ("textures", "backgrounds"):
        expected[name] = getattr(data, name) is None
        found[name] = found[name] == DRAWN
    check_same(folder, expected, found)


def _settings_of_look(data: DataConfig, poses: PoseChoice, seed: int) -> dict[str, Any]:
    """What decides how pictures look, but for the files of bodies, textures and backgrounds."""
    return {
        "poses_sha256": sha256_of(poses.path),
        "pose_tiers": data.pose_tiers,
        "pose_prefixes": list(data.pose_prefixes),
        "held_back_every": poses.held_back_every,
        "only_held_back": poses.only_held_back,
        "recombine_poses": data.recombine_poses,
        "densepose_sha256": sha256_of(data.densepose_uv) if data.densepose_uv else None,
        "background_look": stored_settings(data.background_look),
        "synthesis": stored_settings(data.synthesis),
        "stored_stride": data.stored_stride,
        "proxy": stored_settings(data.proxy),
        "seed": seed,
        "online": data.online,
        "bare": data.bare,
    }


def _description(folder: Path) -> dict[str, Any]:
    """What is written down of a folder's pictures; in older ones some settings are not."""
    found = {**_SETTINGS_ONCE_MISSING, **read_description(folder)}
    found["synthesis"] = completed(SynthesisConfig, found["synthesis"])
    found["background_look"] = completed(BackgroundConfig, found["background_look"])
    return found
