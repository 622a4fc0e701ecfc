from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hierprob3d.configs.training_phases import PAPER_STAGE_1, PAPER_STAGE_2, LossWeights
from hierprob3d.model.rotation.rotations import proper_svd, rotvec_to_rotmat
from hierprob3d.training.learning.losses import Prediction, Target, pose_shape_loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("stage", "weights"), [(1, PAPER_STAGE_1), (2, PAPER_STAGE_2)])
def test_loss_and_gradients_are_the_papers(
    golden: Path, make_inputs: ModuleType, stage: int, weights: LossWeights, reduction: str
) -> None:
    inputs, targets = make_inputs.loss_inputs()
    with np.load(golden / "j_loss.npz") as archive:
        stored = dict(archive)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in inputs.items()}
    prediction = Prediction(
        pose_F=leaves["F"], shape_mean=leaves["loc"], shape_std=leaves["log_std"].exp(),
        global_rotmat=leaves["glob"], joints2d=leaves[f"j2d{stage}"], joints3d=leaves["j3d"],
        vertices=leaves["verts"],
    )  # fmt: skip
    target = Target(
        pose_rotmats=torch.tensor(targets["R"]), betas=torch.tensor(targets["shape"]),
        global_rotmat=torch.tensor(targets["glob"]), visible=torch.tensor(targets["vis"]),
        joints2d=torch.tensor(targets["j2d"]) / 128 - 1, joints3d=torch.tensor(targets["j3d"]),
        vertices=torch.tensor(targets["verts"]),
    )  # fmt: skip
    terms = pose_shape_loss(prediction, target, weights, reduction, "trapezoid")
    terms.total.backward()
    prefix = f"s{stage}_{reduction}_"
    assert terms.total.item() == pytest.approx(float(stored[prefix + "loss"]), rel=1e-5)
    for name, key in (
        ("F", "F"), ("loc", "loc"), ("log_std", "log_std"), ("glob", "glob"), ("j3d", "j3d"),
        (f"j2d{stage}", f"j2d{stage}"),
    ):  # fmt: skip
        expected = torch.tensor(stored[f"{prefix}grad_{key}"])
        gradient = leaves[name].grad
        assert gradient is not None
        torch.testing.assert_close(
            gradient, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max())
        )
    verts_grad = leaves["verts"].grad
    assert verts_grad is not None
    total = float(stored[prefix + "grad_verts_abs_sum"])
    assert float(verts_grad.abs().sum()) == pytest.approx(total, rel=1e-4)


def test_no_visible_keypoint_costs_nothing() -> None:
    prediction, target = _people()
    blind = Target(**{**vars(target), "visible": torch.zeros_like(target.visible)})
    terms = pose_shape_loss(prediction, blind, PAPER_STAGE_1)
    assert terms.joints2d == 0 and torch.isfinite(terms.total)


def test_the_truth_is_the_best_mode() -> None:
    prediction, target = _people()
    wrong = Prediction(**{**vars(prediction), "pose_F": prediction.pose_F.roll(1, 0)})
    right = pose_shape_loss(prediction, target, PAPER_STAGE_1)
    assert right.pose < pose_shape_loss(wrong, target, PAPER_STAGE_1).pose
    assert right.joints2d == right.vertices == right.global_rotmat == 0


def _in_float64(people: Any) -> Any:
    tensors = {name: value for name, value in vars(people).items() if value is not None}
    floating = {n: v.double() for n, v in tensors.items() if v.is_floating_point()}
    return replace(people, **floating)


def test_likelihood_of_the_global_rotation_is_best_at_the_spread_of_its_errors() -> None:
    """Among concentrations k, the one whose mean cosine is that of the errors."""
    # In float64: the term is found as a difference of two large totals.
    prediction, target = map(_in_float64, _people())
    errors = rotvec_to_rotmat(torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.0, -0.2]]).double())
    weights = LossWeights(global_pose=2.0)
    losses = {}
    for k in (3.0, 10.0, 20.0, 30.0, 80.0):
        global_F = k * target.global_rotmat @ errors
        changed = replace(prediction, global_F=global_F)
        terms = pose_shape_loss(changed, target, weights)
        plain = pose_shape_loss(changed, target, LossWeights())
        torch.testing.assert_close(terms.total - plain.total, 2 * terms.global_pose)
        losses[k] = float(terms.global_pose)
    # Mean square angle 0.065 rad^2 = 3 / (2 k) for large k: k = 23.
    assert min(losses, key=lambda k: losses[k]) == 20.0


def test_no_distribution_of_the_global_rotation_costs_nothing_and_cannot_be_asked_for() -> None:
    prediction, target = _people()
    assert pose_shape_loss(prediction, target, PAPER_STAGE_1).global_pose == 0
    with pytest.raises(ValueError, match="loss.global_pose is 1.0: it needs .* global_spread"):
        pose_shape_loss(prediction, target, LossWeights(global_pose=1.0))


def _people() -> tuple[Prediction, Target]:
    """Two people predicted exactly."""
    generator = torch.Generator().manual_seed(0)
    rotmats = proper_svd(torch.randn(2, 23, 3, 3, generator=generator))[0]
    points = torch.randn(2, 17, 3, generator=generator)
    prediction = Prediction(
        pose_F=20 * rotmats, shape_mean=torch.ones(2, 10), shape_std=torch.ones(2, 10),
        global_rotmat=rotmats[:, 0], joints2d=points[:, None, :, :2], joints3d=points,
        vertices=points,
    )  # fmt: skip
    target = Target(
        pose_rotmats=rotmats, betas=torch.ones(2, 10), global_rotmat=rotmats[:, 0],
        joints2d=points[..., :2], visible=torch.ones(2, 17, dtype=torch.bool), joints3d=points,
        vertices=points,
    )  # fmt: skip
    return prediction, target
