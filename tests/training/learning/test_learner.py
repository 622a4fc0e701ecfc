from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PAPER_STAGE_1, LossWeights
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.learning.losses import LossTerms
from hierprob3d.training.learning.schedule import Schedule, Step
from hierprob3d.training.people.rendered_set import load_rendered_set
from hierprob3d.training.run.distributed import Ranks
from tests.training.loss_weights import NO_LOSS

CPU = torch.device("cpu")


@pytest.fixture
def first_step(tiny_config: TrainConfig) -> Step:
    """A step that learns by all terms: the readout, and the heads through the encoder."""
    step = next(Schedule(tiny_config, 3).steps(0))
    phase = dataclasses.replace(step.phase, detach_heads=False)
    return dataclasses.replace(step, phase=phase)


def _gradients(config: TrainConfig, people: Any, step: Step) -> tuple[LossTerms, torch.Tensor]:
    """Losses and all gradients of one step whose BatchNorm is that of evaluation."""
    learner = Learner(config, load_body("open"), CPU, Ranks())
    learner.net.eval()
    learner.net.train = lambda mode=True: learner.net  # type: ignore[method-assign]
    terms = learner.learn(people, step, 100)
    gradients = [p.grad.flatten() for p in learner.optimisation.parameters if p.grad is not None]
    return terms, torch.cat(gradients)


@pytest.mark.parametrize("accumulate", [2, 3])
def test_parts_have_the_losses_and_gradients_of_the_whole_batch(
    accumulate: int, tiny_config: TrainConfig, rendered: Path, first_step: Step
) -> None:
    people = load_rendered_set(rendered / "train")[:7]  # parts of unequal size
    config = dataclasses.replace(tiny_config, precision="fp32")
    terms, gradients = _gradients(config, people, first_step)
    optimiser = dataclasses.replace(config.optimiser, accumulate=accumulate)
    config = dataclasses.replace(config, optimiser=optimiser)
    terms_of_parts, gradients_of_parts = _gradients(config, people, first_step)
    for name, value in vars(terms).items():
        torch.testing.assert_close(getattr(terms_of_parts, name), value, rtol=1e-4, atol=1e-6)
    error = (gradients_of_parts - gradients).norm() / gradients.norm()
    assert error < 1e-4


def test_a_compiled_encoder_learns_and_weights_keep_their_names(
    tiny_config: TrainConfig, rendered: Path, first_step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def compiled(encoder: torch.nn.Module, **_: bool) -> Any:
        return lambda proxy: seen.append(proxy.shape) or encoder(proxy)

    monkeypatch.setattr(torch, "compile", compiled)
    config = dataclasses.replace(tiny_config, compile_encoder=True)
    learner = Learner(config, load_body("open"), CPU, Ranks())
    before = {name: value.clone() for name, value in learner.net.state_dict().items()}
    learner.learn(load_rendered_set(rendered / "train")[:4], first_step, 100)
    assert seen == [(4, 18, 64, 64)]
    after = learner.net.state_dict()
    assert (
        after.keys()
        == Learner(tiny_config, load_body("open"), CPU, Ranks()).net.state_dict().keys()
    )
    assert not torch.equal(
        after["image_encoder.conv1.weight"], before["image_encoder.conv1.weight"]
    )


@pytest.mark.parametrize("loss", [NO_LOSS, PAPER_STAGE_1])
def test_the_branch_learns_while_the_encoder_rests(
    loss: LossWeights, tiny_config: TrainConfig, rendered: Path, first_step: Step
) -> None:
    config = dataclasses.replace(tiny_config, keypoint_lift=True)
    phase = dataclasses.replace(first_step.phase, lift_only=True, loss=loss, readout=1.0)
    learner = Learner(config, load_body("open"), CPU, Ranks())
    before = {name: value.clone() for name, value in learner.net.state_dict().items()}
    step = dataclasses.replace(first_step, phase=phase)
    terms = [
        learner.learn(load_rendered_set(rendered / "train")[:4], step, 100) for _ in range(2)
    ]  # the readout begins at zero: by itself it lets nothing through in the first step
    after = learner.net.state_dict()
    changed = {n.partition(".")[0] for n in before if not torch.equal(before[n], after[n])}
    heads = {"fc1", "fc_shape", "fc_glob", "fc_cam", "fc_embed", "fc_pose"}
    assert changed == {"keypoint_lift"} | (heads if loss.counts else set())
    assert (terms[0].total != 0) == loss.counts


def test_nobody_is_mirrored_where_mirroring_is_off(
    tiny_config: TrainConfig, rendered: Path, first_step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "hierprob3d.training.learning.learner.mirrored",
        lambda people, chosen: seen.append(chosen) or people,
    )
    people = load_rendered_set(rendered / "train")
    for share in (0.0, 1.0):
        data = dataclasses.replace(tiny_config.data, mirrored=share)
        _gradients(dataclasses.replace(tiny_config, data=data), people, first_step)
    assert not seen[0].any() and seen[1].all()
