from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hierprob3d.configs.keypoint_noise import PAPER_KEYPOINT_NOISE
from hierprob3d.configs.paper_training import PAPER_RUN, PUBLISHED, from_paper, load_train_config
from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PAPER_STAGE_1, PAPER_STAGE_2


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, key = name.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return nested


def _write(path: Path, **flat: Any) -> Path:
    settings = _nested({name.replace("__", "."): value for name, value in flat.items()})
    path.write_text(yaml.safe_dump(settings))
    return path


def test_the_published_settings_are_our_file_of_the_paper_s_run(tmp_path: Path) -> None:
    path = tmp_path / "pose_shape_cfg.yaml"
    path.write_text(yaml.safe_dump(_nested(PUBLISHED)))
    assert load_train_config(path) == load_train_config(PAPER_RUN)


def test_the_paper_s_run() -> None:
    config = load_train_config(PAPER_RUN)
    first, second = config.phases
    assert (first.epochs, first.num_samples, second.epochs, second.num_samples) == (66, 0, 234, 8)
    assert (config.input_stride, config.data.stored_stride) == (1, 1)
    assert (config.optimiser.batch_size, config.optimiser.lr) == (72, 1e-4)
    assert config.data.keypoint_noise == PAPER_KEYPOINT_NOISE
    assert (first.loss, second.loss) == (PAPER_STAGE_1, PAPER_STAGE_2)
    assert config.sign_rule == "paper" and not config.data.recombine_poses
    # As many steps an epoch as 91,106 poses in batches of 72.
    assert config.data.num_shards * 1024 // 72 == 91106 // 72
    assert (config.vertex_stride, config.loss_joints) == (1, "h36m")
    assert config.log_normalizer == "trapezoid" and not config.data.proxy.changes
    assert (config.selection_metric, config.no_worse_metrics) == ("MPJPE-PA", ("PVE-SC",))
    assert config.data.each_pose_once and config.data.online_validation
    assert config.data.background_look.streamed and config.data.background_look.whole
    assert config.data.for_validation().pose_prefixes == ()


def test_what_differs_is_taken_over(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "run.yaml",
        TRAIN__NUM_EPOCHS=100, TRAIN__BATCH_SIZE=8, MODEL__NUM_RESNET_LAYERS=50,
        LOSS__STAGE_CHANGE_EPOCH=40, LOSS__NUM_SAMPLES=3, LOSS__STAGE1__WEIGHTS__POSE=7.0,
        LOSS__STAGE1__J2D_LOSS_ON="means+samples", LOSS__STAGE2__J2D_LOSS_ON="samples",
        TRAIN__SYNTH_DATA__AUGMENT__CAM__DELTA_Z_RANGE=[-1, 0],
        TRAIN__SYNTH_DATA__AUGMENT__BBOX__DELTA_SCALE_RANGE=[0.0, 0.4],
        TRAIN__SYNTH_DATA__AUGMENT__PROXY_REP__REMOVE_PARTS_CLASSES=[3],
        TRAIN__SYNTH_DATA__AUGMENT__PROXY_REP__REMOVE_PARTS_PROBS=[0.5],
        MODEL__EMBED_DIM=64, DATA__EDGE_NMS=False, DATA__HEATMAP_GAUSSIAN_STD=3.0,
    )  # fmt: skip
    config = load_train_config(path, ["data.num_shards=5"])
    assert config.num_layers == 50 and config.optimiser.batch_size == 8
    assert [phase.epochs for phase in config.phases] == [40, 60]
    assert [phase.num_samples for phase in config.phases] == [3, 3]
    assert [phase.mode_keypoints for phase in config.phases] == [True, False]
    assert config.phases[0].loss.pose == 7.0 and config.phases[1].loss.pose == 10.0
    synthesis = config.data.synthesis
    distance = 300 * synthesis.distance_per_focal
    assert distance * (1 - synthesis.distance_jitter) == pytest.approx(1.5, abs=1e-5)
    assert distance * (1 + synthesis.distance_jitter) == pytest.approx(2.5, abs=1e-5)
    assert (synthesis.box_scale, synthesis.box_scale_jitter) == (1.4, 0.2)
    assert synthesis.missing_parts[2] == 0.5 and sum(synthesis.missing_parts) == 0.5
    assert config.data.num_shards == 5 and config.data.densepose_uv is not None
    assert config.embed_dim == 64
    assert config.data.proxy.changes == {"edge_nms": False, "heatmap_std": 3.0}


def test_a_change_of_stage_after_the_end_leaves_one_stage() -> None:
    phases = from_paper({"TRAIN": {"NUM_EPOCHS": 10}})["phases"]
    assert [phases[i]["epochs"] for i in (0, 1)] == [10, 0]
    config = load_train_config(None, [], {"TRAIN.NUM_EPOCHS": "10"})
    assert [phase.epochs for phase in config.phases] == [10, 0]
    with pytest.raises(ValueError, match="at least one epoch"):
        load_train_config(None, [], {"TRAIN.NUM_EPOCHS": "0"})


def test_our_own_files_are_read_as_before() -> None:
    assert load_train_config(None) == TrainConfig()
    with pytest.raises(ValueError, match="Did you mean 'optimiser'"):
        load_train_config(None, ["optimizer.lr=1"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TRAIN.BATCHSIZE": 72}, "no setting 'TRAIN.BATCHSIZE'. Did you mean 'TRAIN.BATCH_SIZE'"),
        ({"TRAIN.BATCH_SIZE": "many"}, "TRAIN.BATCH_SIZE must be of the kind of 72, got 'many'"),
        ({"MODEL.DELTA_I": False}, "MODEL.DELTA_I is True here and cannot be False"),
        ({"LOSS.STAGE2.J2D_LOSS_ON": "sample"}, "got 'sample'. Did you mean samples"),
        ({"TRAIN.SYNTH_DATA.AUGMENT.BBOX.DELTA_CENTRE_RANGE": [-5, 9]}, "symmetric"),
        ({"TRAIN.SYNTH_DATA.AUGMENT.PROXY_REP.JOINTS_TO_SWAP": [[5, 7]]}, "a left and its right"),
        ({"TRAIN.SYNTH_DATA.AUGMENT.RGB.LIGHT_AMBIENT_RANGE": [0.4]}, "must be a range"),
        ({"TRAIN.SYNTH_DATA.AUGMENT.PROXY_REP.REMOVE_PARTS_CLASSES": [25]}, "parts 1..24"),
    ],
)
def test_what_cannot_be_followed_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_paper(_nested(settings))


def test_what_has_no_effect_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        from_paper({"TRAIN": {"NUM_WORKERS": 9, "PIN_MEMORY": True}})
    assert [record.getMessage() for record in caplog.records] == [
        "the paper's setting TRAIN.NUM_WORKERS has no effect here: 9"
    ]


def test_the_paper_s_settings_by_name() -> None:
    changes = {"TRAIN.NUM_EPOCHS": "120", "TRAIN.LR": "2e-4"}
    config = load_train_config(None, ["data.num_shards=5"], changes)
    published = load_train_config(PAPER_RUN)
    assert config.optimiser == replace(published.optimiser, lr=2e-4)
    assert [phase.epochs for phase in config.phases] == [66, 54]
    assert config.data == replace(published.data, num_shards=5)


def test_tuples_are_lists_as_in_the_paper_s_code() -> None:
    names = "TRAIN.SYNTH_DATA.AUGMENT.PROXY_REP.JOINTS_TO_SWAP", "DATA.BBOX_SCALE_FACTOR"
    config = load_train_config(None, [], dict(zip(names, ("[(13, 14)]", "1"), strict=True)))
    assert config.data.keypoint_noise.swap_groups == ((13,),)


def test_the_paper_s_settings_go_over_those_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "pose_shape_cfg.yaml"
    path.write_text("TRAIN: {LR: 0.5, NUM_EPOCHS: 70}\n")
    config = load_train_config(path, [], {"TRAIN.LR": "0.25"})
    assert config.optimiser.lr == 0.25 and sum(phase.epochs for phase in config.phases) == 70


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("TRAIN.LRR", "1", "no setting 'TRAIN.LRR'. Did you mean 'TRAIN.LR'?"),
        ("TRAIN.LR", "fast", "TRAIN.LR must be of the kind of 0.0001, got 'fast'"),
        ("DATA.PROXY_REP_SIZE", "128", "DATA.PROXY_REP_SIZE is 256 here and cannot be 128"),
    ],
)
def test_the_paper_s_settings_by_name_are_checked(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_train_config(None, [], {name: text})


def test_the_paper_s_settings_do_not_change_ours(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("seed: 3\n")
    with pytest.raises(ValueError, match="holds our settings, not the paper's"):
        load_train_config(path, [], {"TRAIN.LR": "0.25"})
