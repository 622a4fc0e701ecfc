"""Checkpoints of the paper's training: what they say of the optimiser and of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.weight_files import WeightsError, misfit, read_torch_checkpoint
from hierprob3d.model.network.checkpoints import family_of_checkpoint

_OURS, _THEIRS = "checkpoints", "saved_models"
_GROUP = ("lr", "betas", "eps", "weight_decay", "amsgrad")
"""What Adam of any version says of its parameters."""
_MM = 1000.0
_IN_METRES = (
    "PVE", "PVE-SC", "PVE-PA", "PVE-T", "PVE-T-SC", "MPJPE", "MPJPE-SC", "MPJPE-PA",
)  # fmt: skip
_IN_PIXELS = ("joints2D-L2E", "joints2Dsamples-L2E")
"""Metrics that the paper's training knows."""


@dataclass(frozen=True)
class PaperCheckpoint:
    """A checkpoint to go on from.

    Attributes:
        path: its file.
        epoch: the last one that it has learnt.
        model: state of the network.
        best_model: state of the network in the best epoch.
        best_epoch: that epoch.
        metrics: of its validation that it has, in our units.
        optimiser: state of the optimiser, in the paper's layout.
        body_family: body of the weights, smpl or openbody.
    """

    path: Path
    epoch: int
    model: dict[str, Tensor]
    best_model: dict[str, Tensor]
    best_epoch: int
    metrics: dict[str, float]
    optimiser: dict[str, Any]
    body_family: str

    def check_fits(self, net: Mapping[str, Tensor], body_family: str) -> None:
        """Raises WeightsError where it is of another network or body than a run's."""
        problem = misfit(net, self.model) or misfit(net, self.best_model)
        if problem:
            raise WeightsError(f"{self.path} does not fit this run's network: {problem}.")
        if self.body_family != body_family:
            raise WeightsError(
                f"{self.path} is of the body {self.body_family!r}, this run of {body_family!r}; "
                "set data.body_model to the checkpoint's body."
            )


def checkpoint_name(epoch: int) -> str:
    """Name of an epoch's checkpoint in the folder of a run."""
    return f"{_OURS}/epoch_{epoch:03d}.tar"


def find_checkpoint(folder: Path, epoch: int) -> Path:
    """The checkpoint of an epoch in a folder of ours or of the paper's training.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are two.
    """
    name = f"epoch_{epoch:03d}.tar"
    found = [path for part in (_OURS, _THEIRS) if (path := folder / part / name).is_file()]
    if not found:
        raise FileNotFoundError(
            f"{folder} has no {name} in {_OURS}/ or {_THEIRS}/ to go on from; give the epoch of "
            "one that is there, and its folder as --experiment"
        )
    if len(found) > 1:
        raise ValueError(f"there are {found[0]} and {found[1]}: move the one away not meant")
    return found[0]


def read_paper_checkpoint(path: Path) -> PaperCheckpoint:
    """A checkpoint of ours or of the paper's training.

    Raises:
        WeightsError: it is damaged, or only holds weights.
    """
    content = read_torch_checkpoint(path)
    with one_line_errors(WeightsError, path, "is no checkpoint that a training can go on from"):
        return PaperCheckpoint(
            path=path,
            epoch=int(content["epoch"]),
            model=content["model_state_dict"],
            best_model=content["best_model_state_dict"],
            best_epoch=int(content["best_epoch"]),
            metrics=metrics_from_paper(content["best_epoch_val_metrics"]),
            optimiser=content["optimiser_state_dict"],
            body_family=family_of_checkpoint(content),
        )


def metrics_to_paper(metrics: Mapping[str, float]) -> dict[str, float]:
    """Those metrics, mm and px, that the paper's training knows, in its units: metres and px."""
    metres = {name: metrics[name] / _MM for name in _IN_METRES if name in metrics}
    return metres | {name: metrics[name] for name in _IN_PIXELS if name in metrics}


def metrics_from_paper(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The paper's metrics in mm and px."""
    known = {n: float(metrics[n]) for n in (*_IN_METRES, *_IN_PIXELS) if n in metrics}
    return {name: value * (_MM if name in _IN_METRES else 1) for name, value in known.items()}


def optimiser_state_to_paper(state: Mapping[str, Any], num_parameters: int) -> dict[str, Any]:
    """State of Adam over the first parameters, those of the network, as any version reads it.

    Args:
        state: of our optimiser, all of whose parameters are in one group.
        num_parameters: of the network; a readout's come after them.
    """
    (group,) = state["param_groups"]
    moments = {
        number: {
            "step": int(values["step"]),
            "exp_avg": values["exp_avg"].contiguous(),
            "exp_avg_sq": values["exp_avg_sq"].contiguous(),
        }
        for number, values in state["state"].items()
        if number < num_parameters
    }
    settings = {name: group[name] for name in _GROUP}
    return {
        "state": moments,
        "param_groups": [{**settings, "params": list(range(num_parameters))}],
    }


def take_optimiser_state(
    optimiser: torch.optim.Optimizer, state: Mapping[str, Any], num_parameters: int
) -> None:
    """Gives our optimiser the moments of the paper's, of the network's parameters.

    Raises:
        ValueError: they are of other parameters.
    """
    ours = optimiser.state_dict()
    parameters = optimiser.param_groups[0]["params"]
    (group,) = state["param_groups"]
    if len(group["params"]) != num_parameters:
        raise ValueError(
            f"its optimiser has {len(group['params'])} parameters, the network {num_parameters}"
        )
    ours["state"] = {
        number: {
            "step": torch.tensor(float(values["step"])),
            **{name: _like(parameters[number], values[name]) for name in ("exp_avg", "exp_avg_sq")},
        }
        for number, values in state["state"].items()
    }
    optimiser.load_state_dict(ours)


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """A value in the memory layout of its parameter, as fused optimisers need it."""
    if value.shape != parameter.shape:
        raise ValueError(
            f"its optimiser has {tuple(value.shape)} where the network has {tuple(parameter.shape)}"
        )
    return torch.empty_like(parameter).copy_(value).detach()
