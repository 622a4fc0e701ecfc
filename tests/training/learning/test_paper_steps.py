"""Steps of the paper's training from the golden checkpoint, against the same written plainly."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.configs.paper_training import PAPER_RUN, load_train_config
from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PAPER_STAGE_1, PAPER_STAGE_2
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.files.weight_files import WeightsError, read_torch_checkpoint
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.learning.schedule import Schedule, Step
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.run.distributed import Ranks
from hierprob3d.training.run.paper_checkpoint import (
    PaperCheckpoint,
    find_checkpoint,
    optimiser_state_to_paper,
    read_paper_checkpoint,
)
from tests.oracles.paper_training_step import PlainBody, PlainNet, plain_loss, plain_proxy

CPU = torch.device("cpu")
NO_ERRORS = KeypointNoiseConfig(
    deviation=0.0, outlier_probability=0.0, swap_probability=0.0, drop_visible=(0.0,) * 17,
    drop_hidden=(1.0,) * 17, drop_outside=1.0, drop_limbs=0.0,
)  # fmt: skip
NUM_STEPS = 3


@pytest.fixture(scope="module")
def body_folder(golden: Path, golden_smpl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("body")
    shutil.copy(golden_smpl / "SMPL_NEUTRAL.pkl", folder)
    shutil.copy(golden / "model_files" / "J_regressor_h36m.npy", folder)
    return folder


@pytest.fixture(scope="module")
def config(golden_checkpoints: Path, body_folder: Path) -> TrainConfig:
    """The paper's run from the golden weights, keypoints without errors and no samples."""
    config = load_train_config(PAPER_RUN)
    data = dataclasses.replace(
        config.data, body_model=str(body_folder), keypoint_noise=NO_ERRORS, densepose_uv=None
    )
    first, second = (dataclasses.replace(p, epochs=2, num_samples=0) for p in config.phases)
    return dataclasses.replace(
        config, data=data, phases=(first, second), device="cpu",
        optimiser=dataclasses.replace(config.optimiser, batch_size=2),
        initial_weights=str(golden_checkpoints / "poseMF_shapeGaussian_net_weights.tar"),
    )  # fmt: skip


def _batch(seed: int) -> RenderedSet:
    rng = np.random.default_rng(seed)
    rotvecs = rng.normal(0, 0.3, (2, 24, 3))
    hidden = rng.random((2, 17)) < 0.2
    arrays = {
        "edges": np.maximum(rng.normal(-1, 1, (2, 256, 256)), 0), "rotvecs": rotvecs,
        "joints2d": rng.uniform(40, 216, (2, 17, 2)), "betas": rng.normal(0, 1.25, (2, 10)),
    }  # fmt: skip
    tensors = {name: torch.from_numpy(value).float() for name, value in arrays.items()}
    flags = {"hidden": torch.from_numpy(hidden), "outside": torch.zeros(2, 17, dtype=torch.bool)}
    return RenderedSet(**tensors, **flags)


class Plain:
    """The plain network with plain Adam."""

    def __init__(self, checkpoint: Path, body_folder: Path) -> None:
        self.body = PlainBody(
            body_folder / "SMPL_NEUTRAL.pkl", body_folder / "J_regressor_h36m.npy"
        )
        self.net = PlainNet()
        self.net.load_state_dict(read_torch_checkpoint(checkpoint)["best_model_state_dict"])
        self.net.train()
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-4)

    def step(self, people: RenderedSet, step: Step) -> float:
        visible = ~people.hidden
        truth = {
            "rotmats": rotvec_to_rotmat(people.rotvecs), "betas": people.betas,
            "joints2d": people.joints2d, "visible": visible,
        }  # fmt: skip
        said = self.net(plain_proxy(people.edges, people.joints2d, visible))
        weights = PAPER_STAGE_1 if step.epoch < 2 else PAPER_STAGE_2
        loss = plain_loss(said, self.body, truth, vars(weights))
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return float(loss.detach())


@pytest.fixture(scope="module")
def both(config: TrainConfig, body_folder: Path) -> Iterator[tuple[Learner, Plain, list[Any]]]:
    """Both after the first steps, and their losses; one step per epoch."""
    plain = Plain(Path(config.initial_weights or ""), body_folder)
    learner = Learner(config, load_body(config.data.body_model), CPU, Ranks())
    steps = list(Schedule(config, 1).steps(0))[1 : NUM_STEPS + 1]  # epochs 1, 2 and 3
    losses = []
    for step in steps:
        people = _batch(step.number)
        total = float(learner.learn(people, step, 4).total)
        losses.append((step.number, total, plain.step(people, step)))
    yield learner, plain, losses


def test_three_steps_follow_the_papers_losses(both: tuple[Learner, Plain, list[Any]]) -> None:
    _, _, losses = both
    ours, papers = (torch.tensor([loss[i] for loss in losses]) for i in (1, 2))
    # Adam's first steps turn rounding errors of vanishing gradients into whole steps.
    for number, rtol in enumerate((1e-5, 1e-3, 3e-3)):
        torch.testing.assert_close(ours[number], papers[number], rtol=rtol, atol=0)


@pytest.fixture(scope="module")
def checkpoint(
    both: tuple[Learner, Plain, list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> PaperCheckpoint:
    """A checkpoint as the paper's code writes it, with numpy scalars."""
    folder, plain = tmp_path_factory.mktemp("experiment"), both[1]
    state = plain.net.state_dict()
    content = {
        "epoch": 2, "best_epoch": 1, "model_state_dict": state, "best_model_state_dict": state,
        "best_epoch_val_metrics": {"PVE-SC": np.float64(0.05), "MPJPE-PA": np.float64(0.04)},
        "optimiser_state_dict": plain.adam.state_dict(),
    }  # fmt: skip
    (folder / "saved_models").mkdir()
    torch.save(content, folder / "saved_models" / "epoch_002.tar")
    return read_paper_checkpoint(find_checkpoint(folder, 2))


def test_the_optimisers_state_is_written_in_the_papers_layout(
    both: tuple[Learner, Plain, list[Any]],
) -> None:
    learner, plain, _ = both
    num_parameters = len(list(plain.net.parameters()))
    written = optimiser_state_to_paper(learner.optimisation.optimiser.state_dict(), num_parameters)
    assert len(written["state"]) == num_parameters
    assert all(values["step"] == NUM_STEPS for values in written["state"].values())
    read = torch.optim.Adam(plain.net.parameters(), lr=1.0)
    read.load_state_dict(written)  # as the paper's code does
    assert read.param_groups[0]["lr"] == 1e-4 and not read.param_groups[0]["weight_decay"]


def test_a_checkpoint_of_the_paper_is_gone_on_from_with_its_optimiser(
    both: tuple[Learner, Plain, list[Any]], checkpoint: PaperCheckpoint, config: TrainConfig
) -> None:
    learner, plain, _ = both
    assert checkpoint.metrics["MPJPE-PA"] == 40 and checkpoint.metrics["PVE-SC"] == 50
    checkpoint.check_fits(learner.net.state_dict(), "smpl")
    learner.take(checkpoint)
    step, people = next(Schedule(config, 1).steps(3)), _batch(9)
    # The second loss depends on the moments that the first step went on with.
    ours = [float(learner.learn(people, step, 4).total) for _ in range(2)]
    papers = [plain.step(people, step) for _ in range(2)]
    assert ours == pytest.approx(papers, rel=1e-4)


def test_a_checkpoint_that_cannot_be_gone_on_from_is_one_line(
    both: tuple[Learner, Plain, list[Any]], checkpoint: PaperCheckpoint, tmp_path: Path
) -> None:
    learner = both[0]
    with pytest.raises(FileNotFoundError, match="has no epoch_007.tar in checkpoints/ or saved"):
        find_checkpoint(tmp_path, 7)
    with pytest.raises(WeightsError, match="is of the body 'smpl', this run of 'openbody'"):
        checkpoint.check_fits(learner.net.state_dict(), "openbody")
    with pytest.raises(WeightsError, match="epoch_002.tar does not fit this run's network"):
        checkpoint.check_fits({"fc1.bias": torch.zeros(1)}, "smpl")
    with pytest.raises(WeightsError, match="epoch_002.tar cannot be gone on from"):
        learner.take(dataclasses.replace(checkpoint, optimiser={"state": {}}))
    torch.save({"best_model_state_dict": {}}, tmp_path / "weights_alone.tar")
    with pytest.raises(WeightsError, match="no checkpoint that a training can go on from"):
        read_paper_checkpoint(tmp_path / "weights_alone.tar")
