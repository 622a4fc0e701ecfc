from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.configs.training_phases import OptimiserConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.checkpoints import WeightsError, load_distribution_net
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.pipelines.command.cli import main
from hierprob3d.training.lift.lift_learner import LiftLearner
from hierprob3d.training.lift.lift_people import LiftPeople
from hierprob3d.training.lift.temperatures import fit_temperatures
from hierprob3d.training.lift.train_lift import LiftTrainer, train_lift
from hierprob3d.training.run.stopping import StopRequest


@pytest.fixture(scope="module")
def undisturbed(lift_config: LiftTrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lift")
    assert train_lift(lift_config, folder) == 0
    return folder


def test_weights_say_where_they_come_from(undisturbed: Path, lift_config: LiftTrainConfig) -> None:
    net = load_distribution_net(undisturbed / "weights")
    assert isinstance(net, LiftNet) and net.metadata is not None
    provenance = net.metadata.provenance
    assert provenance["effort"]["samples"] == 6 * 16
    assert provenance["config"]["train_poses"] == Path(lift_config.train_poses).name
    assert len(provenance["mean_pose"]) == 69
    lines = [json.loads(line) for line in (undisturbed / "log.jsonl").read_text().splitlines()]
    validated = [line["step"] for line in lines if line["kind"] == "validation"]
    assert validated == [3, 6] and "pose_nll" in lines[-1]


@pytest.mark.parametrize("stopped_after", [5, 7])  # among the bodies, and among their spread
def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    undisturbed: Path, lift_config: LiftTrainConfig, tmp_path: Path, stopped_after: int
) -> None:
    class Later(StopRequest):
        steps = 0

        @property
        def reason(self) -> str | None:
            self.steps += 1
            return "test" if self.steps >= stopped_after else None

    LiftTrainer(lift_config, tmp_path, Later()).train()
    assert not (tmp_path / "weights").exists()
    assert train_lift(replace(lift_config, save_every=3), tmp_path) == 0
    expected = load_distribution_net(undisturbed / "weights").state_dict()
    found = load_distribution_net(tmp_path / "weights").state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_another_configuration_is_refused(undisturbed: Path, lift_config: LiftTrainConfig) -> None:
    with pytest.raises(WeightsError, match="seed"):
        train_lift(replace(lift_config, seed=1), undisturbed)


def test_bodies_are_learnt_and_then_only_how_sure_they_are(
    lift_config: LiftTrainConfig, people: LiftPeople, open_body: Body
) -> None:
    config = replace(
        lift_config, steps=40, spread_steps=10,
        optimiser=replace(lift_config.optimiser, lr=1e-2, warmup_steps=1, average_decay=0.5),
        spread_optimiser=OptimiserConfig(lr=1e-2, warmup_steps=1),
    )  # fmt: skip
    learner, batch = LiftLearner(config, open_body), people.batch(0, 32)
    losses = [learner.learn_bodies(batch, step) for step in range(40)]
    assert losses[-1]["joints"] < 0.7 * losses[0]["joints"]
    assert losses[-1]["joints2d"] < 0.7 * losses[0]["joints2d"]
    before = {name: value.clone() for name, value in learner.finished.state_dict().items()}
    sure = [learner.learn_spread(batch, step) for step in range(10)]
    assert sure[-1]["pose_nll"] < sure[0]["pose_nll"] - 0.01
    changed = {
        name for name, value in learner.finished.state_dict().items()
        if not torch.equal(value, before[name])
    }  # fmt: skip
    assert changed and all(name.startswith("spread.") for name in changed)


def test_temperatures_make_regions_hold_what_they_claim(
    lift_config: LiftTrainConfig, people: LiftPeople, open_body: Body
) -> None:
    learner, batch = LiftLearner(lift_config, open_body), people.held_back(100)
    net, kinds = learner.finished, (batch.without_landmarks(), batch.having_landmarks())
    shares = fit_temperatures(net, kinds, seed=0)
    for temperatures, held in zip(net.temperatures, shares, strict=True):
        assert 1 < len(temperatures.unique()) <= 8
        free = (temperatures > 0.21) & (temperatures < 4.7)
        assert free.any()
        assert (held[free].mean() - 0.8).abs() < 0.12
    assert not torch.equal(*net.temperatures)


def test_how_sure_given_bodies_are_is_learnt_alone(
    undisturbed: Path, lift_config: LiftTrainConfig, tmp_path: Path
) -> None:
    config = replace(lift_config, steps=0, initial_weights=str(undisturbed / "weights"))
    assert train_lift(config, tmp_path) == 0
    before = load_distribution_net(undisturbed / "weights").state_dict()
    after = load_distribution_net(tmp_path / "weights").state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("spread.", "temperatures")) for name in changed)


def test_initial_weights_must_be_a_lift_of_the_same_size(
    undisturbed: Path, lift_config: LiftTrainConfig, open_body: Body
) -> None:
    weights = str(undisturbed / "weights")
    begun = LiftLearner(replace(lift_config, initial_weights=weights), open_body)
    assert begun.net.temperatures.eq(1).all()
    with pytest.raises(WeightsError, match="width 8"):
        LiftLearner(replace(lift_config, initial_weights=weights, width=8), open_body)


def test_the_command_tells_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, told in (
        (["num_detected=0"], "no pose file"),
        (["moved_share=0.9", "detected_share=0.5"], "moved_share + detected_share exceed 1"),
        (["steps=0"], "steps=0 needs initial_weights"),
        (["stepz=3"], "Did you mean 'steps'?"),
    ):
        assert main(["train-lift", "--experiment", str(tmp_path), *words]) == 2
        assert told in capsys.readouterr().err
