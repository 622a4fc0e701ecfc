"""A real, tiny training: rendered, trained, validated, saved and shown."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import torch

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.configs.training import DataConfig, TrainConfig
from hierprob3d.configs.training_phases import PAPER_STAGE_1, LossWeights, PhaseConfig
from hierprob3d.model.files.weight_files import read_torch_checkpoint, write_torch_checkpoint
from hierprob3d.model.network.checkpoints import load_distribution_net
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.learning.losses import LossTerms
from hierprob3d.training.learning.schedule import Step
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.people.rendered_set import load_rendered_set
from hierprob3d.training.run.run_log import TRAINING, VALIDATION, read_log
from hierprob3d.training.run.run_state import BestWeights, is_better
from hierprob3d.training.train import render_missing, train
from tests.training.loss_weights import NO_LOSS

Losses = Callable[[Path], list[float]]
PICTURES = PhaseConfig(epochs=1, stride=4)
LIFT = dataclasses.replace(PICTURES, lift_only=True)


def test_a_run_leaves_usable_weights(undisturbed: Path, losses: Losses) -> None:
    net = load_distribution_net(undisturbed / "weights")
    assert net.body_family == "openbody" and net.metadata is not None
    assert net.metadata.input_stride == 4
    output = net(torch.zeros(1, 18, 256, 256))
    assert torch.isfinite(output.pose_F).all()
    assert len(losses(undisturbed)) == 6


def test_a_finished_run_says_so(
    undisturbed: Path, tiny_config: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = (undisturbed / "state.pt").read_bytes()
    assert train(tiny_config, undisturbed) == 0
    assert "finished: all 6 steps" in caplog.text
    assert (undisturbed / "state.pt").read_bytes() == before


def test_weights_say_where_they_come_from(undisturbed: Path) -> None:
    metadata = load_distribution_net(undisturbed / "weights").metadata
    assert metadata is not None
    provenance = metadata.provenance
    assert provenance["config"]["optimiser"]["batch_size"] == 4
    assert provenance["config"]["data"]["train_poses"] == "poses.npz"  # no path of this machine
    assert set(provenance["validation"]) >= {"MPJPE-PA", "PVE-T-SC", "inside-80%"}
    assert provenance["code"]["torch"] == torch.__version__
    assert {"commit", "version"} & set(provenance["code"])
    effort = provenance["effort"]
    assert effort["samples"] == 4 * effort["steps"] + effort.get("bare_people", 0)
    assert provenance["data"]["poses_sha256"] and len(provenance["mean_pose"]) == 69


def test_the_last_checkpoint_has_the_papers_layout(undisturbed: Path) -> None:
    path = undisturbed / "checkpoints" / "epoch_001.tar"
    content = read_torch_checkpoint(path)
    assert set(content) >= {
        "epoch", "best_epoch", "best_epoch_val_metrics", "model_state_dict",
        "best_model_state_dict", "optimiser_state_dict",
    }  # fmt: skip
    net = load_distribution_net(path)
    assert net.body_family == "openbody" and net.config.sign_rule == "invariant"
    kept = load_distribution_net(undisturbed / "weights").state_dict()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(kept[name], value, atol=2e-3, rtol=2e-3)  # float16 parts


def test_detached_heads_need_a_readout() -> None:
    with pytest.raises(ValueError, match="phases.readout"):
        PhaseConfig(epochs=1, detach_heads=True)


def test_nan_never_wins() -> None:
    best = BestWeights(0, (2.0, 100.0), {}, {}, {})
    assert is_better((2.0, 90.0), best) and is_better((1.0, 500.0), best)
    assert not is_better((2.0, float("nan")), best) and not is_better((2.0, float("nan")), None)


def test_each_epoch_is_drawn_and_the_metric_of_choice_selects(
    tiny_config: TrainConfig, run_folder: Path, undisturbed: Path, losses: Losses
) -> None:
    pytest.importorskip("tensorboard")
    config = dataclasses.replace(
        tiny_config, selection_metric="pose-NLL", contact_sheet_people=4, log_tensorboard=True,
        phases=tiny_config.phases[:1] * 2,
    )  # fmt: skip
    train(config, run_folder)
    names = {str(path.relative_to(run_folder)) for path in run_folder.rglob("*.png")}
    assert names == {
        "pictures/losses.png", "pictures/people/epoch_000.png", "pictures/people/epoch_001.png"
    }  # fmt: skip
    sheet = cv2.imread(str(run_folder / "pictures" / "people" / "epoch_001.png"))
    assert sheet is not None and sheet.shape == (22 + 2 * 256, 6 * 256, 3)
    assert list((run_folder / "tensorboard").iterdir())
    judged = [line for line in read_log(run_folder / "log.jsonl") if line["kind"] == VALIDATION]
    best = min(judged, key=lambda line: line["pose-NLL"])
    content = read_torch_checkpoint(run_folder / "checkpoints" / "epoch_001.tar")
    assert content["best_epoch"] == best["epoch"]
    assert losses(run_folder)[:3] == losses(undisturbed)[:3]  # pictures change no number


def test_rendering_goes_on_where_it_stopped(
    tiny_config: TrainConfig, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierprob3d.training.people.rendered_set.SHARD_SIZE", 12)
    monkeypatch.setattr("hierprob3d.training.people.rendered_set._CHUNK", 4)
    folder = Path(shutil.copytree(rendered, tmp_path / "run"))
    before = load_rendered_set(folder / "train")
    (folder / "train" / "shard_00000.npz").unlink()
    render_missing(tiny_config, folder)
    after = load_rendered_set(folder / "train")
    assert torch.equal(before.edges, after.edges) and torch.equal(before.betas, after.betas)


@pytest.mark.parametrize("missing", ["backgrounds", "textures", "densepose_uv"])
def test_missing_sources_of_one_set_are_told_before_the_other_is_rendered(
    missing: str, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    data = dataclasses.replace(
        tiny_config.data, val_backgrounds=str(tmp_path / "photos"), **{missing: "no such file"}
    )
    with pytest.raises(FileNotFoundError, match=f"no such file: correct {missing} of the"):
        render_missing(dataclasses.replace(tiny_config, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_set_that_is_all_there_needs_no_backgrounds(
    tiny_config: TrainConfig, rendered: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(rendered, tmp_path / "run"))
    for name in ("train", "val"):
        path = folder / name / "description.json"
        text = path.read_text().replace('"backgrounds": "drawn"', '"backgrounds": "9 files"')
        path.write_text(text)
    gone = dataclasses.replace(tiny_config.data, backgrounds="no such folder")
    render_missing(dataclasses.replace(tiny_config, data=gone), folder)
    with pytest.raises(ValueError, match=r"other settings \(backgrounds; see"):
        render_missing(tiny_config, folder)  # drawn ones are not what they were made of


def test_a_run_of_an_older_version_goes_on(
    tiny_config: TrainConfig, undisturbed: Path, tmp_path: Path
) -> None:
    """It knew fewer settings; the others are at their defaults."""
    folder = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    content = read_torch_checkpoint(folder / "state.pt")
    del content["config"]["data"]["mirrored"], content["config"]["phases"][0]["bare_people"]
    write_torch_checkpoint(folder / "state.pt", content)
    path = folder / "train" / "description.json"
    description = json.loads(path.read_text())
    del description["synthesis"]["tumbled"], description["background_look"]["gigabytes"]
    path.write_text(json.dumps(description))
    assert train(tiny_config, folder) == 0
    tumbled = dataclasses.replace(tiny_config.data.synthesis, tumbled=0.5)
    data = dataclasses.replace(tiny_config.data, synthesis=tumbled)
    with pytest.raises(ValueError, match=r"\(data\.synthesis\.tumbled\)"):
        train(dataclasses.replace(tiny_config, data=data), folder)


def test_a_set_of_another_body_or_without_description_is_refused(
    tiny_config: TrainConfig, rendered: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(rendered, tmp_path / "run"))
    path = folder / "val" / "description.json"
    path.write_text(path.read_text().replace('"body_sha256": "', '"body_sha256": "0'))
    with pytest.raises(ValueError, match=r"other settings \(body_sha256; see"):
        render_missing(tiny_config, folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"val has pictures but no description\.json"):
        render_missing(tiny_config, folder)


def test_bare_people_that_cannot_be_made_end_a_run_before_its_first_step(
    tiny_config: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise FileNotFoundError("no UV_Processed.mat")

    monkeypatch.setattr("hierprob3d.training.train.posed_people", missing)
    with pytest.raises(FileNotFoundError, match="UV_Processed"):
        train(tiny_config, run_folder)
    assert not (run_folder / "state.pt").exists()


def test_the_speed_logged_is_that_of_the_phase(
    tiny_config: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, learn = [0.0], Learner.learn

    def timed(self: Learner, people: RenderedSet, step: Step, num_steps: int) -> LossTerms:
        clock[0] += 1 if step.epoch == 0 else 10
        return learn(self, people, step, num_steps)

    monkeypatch.setattr(Learner, "learn", timed)
    monkeypatch.setattr(
        "hierprob3d.training.train.time", SimpleNamespace(monotonic=lambda: clock[0])
    )
    train(tiny_config, run_folder)
    log = [line for line in read_log(run_folder / "log.jsonl") if line["kind"] == TRAINING]
    # Four people a second, then four and two bare ones in ten.
    assert [line["samples_per_s"] for line in log] == [4, 4, 4, 0.6, 0.6, 0.6]


def test_a_run_with_bare_people_alone(tiny_config: TrainConfig, tmp_path: Path) -> None:
    data = dataclasses.replace(
        tiny_config.data, bare=True, num_shards=2, backgrounds="nowhere", val_backgrounds=None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hierprob3d.training.people.rendered_set.SHARD_SIZE", 6)
        patch.setattr("hierprob3d.training.people.bare_people._CHUNK", 4)
        first = PhaseConfig(epochs=1, stride=4, lift_only=True, readout=1.0, loss=NO_LOSS)
        phases = (first, dataclasses.replace(first, loss=PAPER_STAGE_1))
        config = dataclasses.replace(
            tiny_config, data=data, phases=phases, keypoint_lift=True, contact_sheet_people=2,
            log_every=20,  # nothing is logged when the first epoch ends
        )  # fmt: skip
        with pytest.raises(FileNotFoundError, match="of the val pictures"):  # these need it
            train(config, tmp_path / "run")
        data = dataclasses.replace(data, backgrounds=None)
        config = dataclasses.replace(config, data=data)
        assert train(config, tmp_path / "run") == 0
    log = read_log(tmp_path / "run" / "log.jsonl")
    judged = [line for line in log if line["kind"] == VALIDATION]
    assert [line["epoch"] for line in judged] == [1]  # in the first the heads do not learn
    people = load_rendered_set(tmp_path / "run" / "train")
    assert len(people) == 12 and people.edges.shape == (12, 1, 1) and not people.edges.any()
    net = load_distribution_net(tmp_path / "run" / "weights")
    assert net.config.keypoint_lift and (net.encoder_gain == 0).all()
    assert (tmp_path / "run" / "pictures" / "people" / "epoch_001.png").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoint_lift": False}, "phases.lift_only needs keypoint_lift=true"),
        ({"phases": (PICTURES,)}, "data.bare needs phases.lift_only in every phase"),
        ({"phases": (PICTURES, LIFT)}, "phases with it come first"),
        (
            {"phases": (dataclasses.replace(LIFT, readout=1.0, loss=NO_LOSS),)},
            "the heads must learn in the last one",
        ),
        (
            {"phases": (dataclasses.replace(LIFT, loss=LossWeights(global_pose=1.0)),)},
            "phases.loss.global_pose needs global_spread=true",
        ),
    ],
)
def test_settings_that_contradict_the_keypoint_branch_are_named(
    changes: dict, message: str
) -> None:
    whole = {"data": DataConfig(bare=True), "phases": (LIFT,), "keypoint_lift": True}
    TrainConfig(**whole)
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{**whole, **changes})


def test_settings_that_teach_nothing_or_contradict_each_other_are_named() -> None:
    with pytest.raises(ValueError, match="data.bare and data.online exclude each other"):
        DataConfig(bare=True, online=True)
    with pytest.raises(ValueError, match="nothing is learnt"):
        PhaseConfig(epochs=1, loss=NO_LOSS)
    with pytest.raises(ValueError, match="clothes_thickness must be at least 0, got -0.05"):
        SynthesisConfig(clothes_thickness=-0.05)
