"""Weights of the distribution network on disk: the paper's .tar and our own safetensors.

Ours are one `.safetensors` file in float32, or a folder of float16 parts small enough for any
repository. They carry `WeightsMetadata`: weights used with another body, sign rule or input size
than they were trained with give garbage, not an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.files.weight_files import (
    INDEX_NAME,
    WeightsError,
    misfit,
    read_parts,
    read_tensors,
    read_torch_checkpoint,
    sha256_of,
    some_of,
    write_parts,
    write_tensors,
    write_torch_checkpoint,
)

from .distribution_net import DistributionNet
from .lift_net import LiftNet
from .network_config import LiftConfig, NetworkConfig, WeightsMetadata

__all__ = [
    "BodyNet",
    "WeightsError",
    "WeightsMetadata",
    "default_weights_path",
    "family_of_checkpoint",
    "load_distribution_net",
    "save_distribution_net",
    "save_paper_checkpoint",
    "sha256_of",
    "weights_path",
]

BodyNet = DistributionNet | LiftNet
"""Either network that gives distributions over bodies."""

_BEST_STATE = "best_model_state_dict"
_METADATA = "hierprob3d_metadata"
_EMBED_KEY = "fc_embed.bias"
_RESNET50_KEY = "image_encoder.layer1.0.conv3.weight"


def default_weights_path() -> Path:
    """Folder of the bundled open weights."""
    return ASSETS / "open_net"


def weights_path(given: str | None) -> Path:
    """Where weights lie: as given, or else the bundled ones."""
    return Path(given) if given else default_weights_path()


def load_distribution_net(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> BodyNet:
    """The network in a weights file, in evaluation mode, with `body_family` and `metadata` set.

    Args:
        path: the paper's `.tar`, a `.safetensors` file of ours, or a folder of parts (or its
            index). A `.tar` without metadata of ours is the paper's: SMPL, sign rule "paper".
        device: where the network is to run.

    Raises:
        FileNotFoundError: the file, or a part of it, does not exist.
        WeightsError: the file is damaged, foreign, without metadata, or does not fit the network.
    """
    path = Path(path)
    state, metadata = _read_weights(path)
    # On "meta" nothing is drawn or allocated: the tensors of the file become the parameters.
    with torch.device("meta"):
        net = _network(metadata)
    problem = misfit(net.state_dict(), state)
    if problem:
        raise WeightsError(f"{path} does not fit the network: {problem}.")
    net.load_state_dict(
        {
            key: value.float() if value.is_floating_point() else value
            for key, value in state.items()
        },
        assign=True,
    )
    net.body_family, net.metadata = metadata.body_family, metadata
    net = net.to(device).eval()
    if isinstance(net, DistributionNet):
        net.fc_pose.freeze()
    return net


def save_distribution_net(
    net: BodyNet, path: str | os.PathLike[str], metadata: WeightsMetadata
) -> None:
    """Write weights to one float32 file, or to a folder of float16 parts.

    In a folder, matrices and filters are rounded to float16; biases and BatchNorm statistics,
    whose range is wider, stay float32.

    Args:
        net: the network.
        path: a name that ends in `.safetensors`, or a folder.
        metadata: must agree with the network's configuration.
    """
    if metadata.network_config() != net.config:
        raise ValueError(f"The metadata speak of {metadata.network_config()}, not {net.config}.")
    path = Path(path)
    if path.suffix == ".safetensors":
        write_tensors(path, net.state_dict(), asdict(metadata))
    else:
        write_parts(path, _to_float16(net.state_dict()), asdict(metadata))


def save_paper_checkpoint(
    path: str | os.PathLike[str],
    *,
    metadata: WeightsMetadata,
    epoch: int,
    model_state: Mapping[str, Tensor],
    best_epoch: int,
    best_metrics: Mapping[str, float],
    best_state: Mapping[str, Tensor],
    optimiser_state: Mapping[str, Any],
) -> None:
    """Write a training checkpoint in the layout of the paper's code, plus our metadata.

    `model.files.weight_files.read_torch_checkpoint` reads it back whole, to resume a training.
    """
    content = {
        "epoch": epoch,
        "best_epoch": best_epoch,
        "best_epoch_val_metrics": dict(best_metrics),
        "model_state_dict": dict(model_state),
        _BEST_STATE: dict(best_state),
        "optimiser_state_dict": dict(optimiser_state),
        _METADATA: asdict(metadata),
    }
    write_torch_checkpoint(Path(path), content)


def _network(metadata: WeightsMetadata) -> BodyNet:
    config = metadata.network_config()
    return LiftNet(config) if isinstance(config, LiftConfig) else DistributionNet(config)


def family_of_checkpoint(content: Mapping[str, Any]) -> str:
    """Body of a training checkpoint's weights; without metadata of ours it is the paper's SMPL."""
    metadata = content.get(_METADATA)
    return str(metadata["body_family"]) if isinstance(metadata, dict) else "smpl"


def _read_weights(path: Path) -> tuple[dict[str, Tensor], WeightsMetadata]:
    if not path.exists():
        raise FileNotFoundError(f"The weights {path} do not exist.")
    if path.is_dir() or path.name == INDEX_NAME:
        state, notes = read_parts(path if path.is_dir() else path.parent)
        return state, _to_metadata(notes, path)
    if path.suffix == ".safetensors":
        state, notes = read_tensors(path)
        return state, _to_metadata(notes, path)
    return _read_paper_weights(path)


def _read_paper_weights(path: Path) -> tuple[dict[str, Tensor], WeightsMetadata]:
    content = read_torch_checkpoint(path)
    state = content.get(_BEST_STATE)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(
            f"{path} is not a checkpoint of the distribution network: it has no '{_BEST_STATE}' "
            f"(it holds {some_of(content)})."
        )
    if _METADATA in content:
        return state, _to_metadata(content[_METADATA], path)
    num_layers = 50 if _RESNET50_KEY in state else 18
    embed_dim = len(state[_EMBED_KEY]) if _EMBED_KEY in state else NetworkConfig.embed_dim
    return state, WeightsMetadata(
        body_family="smpl", sign_rule="paper", num_layers=num_layers, embed_dim=embed_dim
    )


def _to_metadata(notes: dict[str, Any], path: Path) -> WeightsMetadata:
    if not isinstance(notes, dict) or "body_family" not in notes:
        raise WeightsError(
            f"{path} does not say which body it belongs to; write it with save_distribution_net."
        )
    try:
        return WeightsMetadata(**notes)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path} carries unusable metadata: {error}") from error


def _to_float16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    rounded = {
        key: value.half() if value.is_floating_point() and value.ndim > 1 else value
        for key, value in state.items()
    }
    too_large = [key for key, value in rounded.items() if not torch.isfinite(value).all()]
    if too_large:
        raise ValueError(
            f"Not finite in float16, save one .safetensors file: {some_of(too_large)}."
        )
    return rounded
