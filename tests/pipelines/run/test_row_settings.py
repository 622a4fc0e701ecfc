"""Rows of other settings do not join: what records say, and what they leave open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.prediction import PredictConfig, RunConfig, SourceConfig
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.pipelines.evaluate import Evaluation
from hierprob3d.pipelines.predict import Prediction
from hierprob3d.pipelines.run.manifest import plain
from hierprob3d.pipelines.run.row_settings import (
    RESOLVED,
    check_settings,
    differences,
    runs_that_stay,
    told,
)
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.tables.rows import frames_table
from hierprob3d.transforms.tables.schema import frames_schema

LEFT_OUT = Prediction.no_row_settings
ITEM = picture_item("/a.png")
Change = Callable[[dict[str, Any]], object]


def record() -> dict[str, Any]:
    """What the manifest of a run says."""
    config = PredictConfig(source=SourceConfig(inputs=("/in",)), run=RunConfig(output="/out"))
    return {
        "config": plain(config),
        "model_files": {
            part: {"path": f"/models/{part}", "sha256": 64 * "0"}
            for part in ("weights", "body_model", "detector", "keypoints", "shape")
        },
        RESOLVED: {
            "detector_threshold": 0.2,
            "keypoint_threshold": 0.5,
            "pose_shape_cfg": {"box_scale": 1.2, "heatmap_std": 4.0},
            "fixed bodies that differ by": {"PVE": 0.3},
        },
    }


def changed(change: Change) -> dict[str, Any]:
    """The same, changed."""
    content = record()
    change(content)
    return content


def of_models(**options: Any) -> Change:
    return lambda content: content["config"]["models"].update(options)


def resolved(**values: Any) -> Change:
    return lambda content: content[RESOLVED].update(values)


def with_other_file(part: str) -> Change:
    return lambda content: content["model_files"][part].update(sha256=64 * "1")


def with_another_detector(content: dict[str, Any]) -> None:
    of_models(detector="maskrcnn")(content)
    with_other_file("detector")(content)
    resolved(detector_threshold=0.95)(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_another_detector, "with --detector movenet (now with --detector maskrcnn)"),
        (of_models(keypoints="movenet"), "--keypoints blazepose (now with --keypoints movenet)"),
        (of_models(people="centre"), "with --people all (now with --people centre)"),
        (of_models(gender="male"), "with --gender neutral (now with --gender male)"),
        (resolved(detector_threshold=0.3), "--detector-threshold 0.2 (now with --detector-thresh"),
        (resolved(keypoint_threshold=0.3), "--keypoint-threshold 0.5 (now with"),
        (resolved(pose_shape_cfg={"box_scale": 1.3}), "--pose-shape-cfg box_scale 1.2 (now with"),
        (
            lambda content: content["config"]["source"].update(known_height=1.701),
            "without --known-height (now with --known-height 1.701)",
        ),
        (
            lambda content: content["config"]["sampling"].update(paper_rule=True, num_samples=9),
            "with --num-samples 50 (now with --num-samples 9), without --paper-uncertainty (now wi",
        ),
        (
            lambda content: content["config"]["sampling"].update(uncertainty=False),
            "without --no-uncertainty (now with --no-uncertainty)",
        ),
        (
            with_other_file("weights"),
            "--weights /models/weights, SHA-256 000000000000... (now with",
        ),
        (with_other_file("body_model"), "--body-model /models/body_model, SHA-256 0000"),
        (with_other_file("shape"), "with the network of shapes /models/shape, SHA-256 0000"),
        (resolved(**{"fixed bodies that differ by": {"PVE": 0.31}}), "fixed bodies that differ by"),
    ],
)
def test_what_decides_a_row_is_told_by_option_with_both_values(change: Change, words: str) -> None:
    found = differences(PredictConfig, LEFT_OUT, record(), changed(change))
    assert words in told(found) and told(found).count("--detector") <= 2


def test_a_list_that_was_not_given_is_told_as_such() -> None:
    earlier, now = ({"config": {"metrics": names}} for names in ([], ["PVE"]))
    found = differences(EvaluateConfig, (), earlier, now)
    assert told(found) == "without --metrics (now with --metrics PVE)"


@pytest.mark.parametrize(
    "change",
    [
        of_models(device="cuda", engine="torch", weights="/elsewhere", detector_threshold=0.2),
        resolved(**{"fixed bodies that differ by": {"PVE": 0.30001, "MPJPE": 1.0}}),
        lambda content: content["config"]["refinement"].update(keypoint_error=2.0),  # not refined
        lambda content: content["config"]["source"].update(inputs=["/more"], limit=3),
        lambda content: content["config"]["run"].update(output="/moved", shard_size=3),
        lambda content: content["config"]["sampling"].update(seed=3),
        lambda content: content["model_files"]["weights"].update(path="/moved"),
    ],
)
def test_what_does_not_decide_it_may_change(change: Change) -> None:
    assert not differences(PredictConfig, LEFT_OUT, record(), changed(change))


def test_records_are_compared_as_far_as_they_say_anything() -> None:
    earlier = record()
    del earlier[RESOLVED], earlier["model_files"]["shape"], earlier["config"]["refinement"]
    del earlier["config"]["source"]["known_height"]  # the option came later
    assert not differences(PredictConfig, LEFT_OUT, earlier, record())
    assert not differences(PredictConfig, LEFT_OUT, {}, record())
    now = changed(lambda content: content["config"]["source"].update(known_height=1.7))
    assert len(differences(PredictConfig, LEFT_OUT, earlier, now)) == 1
    now = changed(of_models(detector_threshold=0.3))
    assert len(differences(PredictConfig, LEFT_OUT, earlier, now)) == 1


@pytest.mark.parametrize(
    ("run", "recorded"), [("run", "run"), ("plan-p00000-joined-all", "plan")], ids=["run", "joined"]
)
def test_rows_that_stay_are_those_that_count(tmp_path: Path, run: str, recorded: str) -> None:
    store = OutputFolder(str(tmp_path))
    store.create()
    table = frames_table([Frame(ITEM, None)], People(), [], 0.0, frames_schema(), run)
    store.write_table(f"frames/part-{run}-00000.parquet", table)
    store.write(f"runs/{recorded}.json", json.dumps(record()).encode())
    now = changed(with_another_detector)
    with pytest.raises(UsageError, match=rf"rows of run {run} with --detector .*: choose another"):
        check_settings(store, PredictConfig, LEFT_OUT, now)
    check_settings(store, PredictConfig, LEFT_OUT, now, dropped={ITEM.item_id})
    assert runs_that_stay(store) == {run} and not runs_that_stay(store, {ITEM.item_id})


def test_rows_without_a_record_stay_where_nothing_is_made_of_all(tmp_path: Path) -> None:
    store = OutputFolder(str(tmp_path))
    store.create()
    table = frames_table([Frame(ITEM, None)], People(), [], 0.0, frames_schema(), "run")
    store.write_table("frames/part-run-00000.parquet", table)
    check_settings(store, PredictConfig, LEFT_OUT, record())
    assert Evaluation.needs_records and not Prediction.needs_records
    with pytest.raises(UsageError, match="rows of run run, whose record in runs/ is not there: "):
        check_settings(store, PredictConfig, LEFT_OUT, record(), needs_records=True)
    check_settings(store, PredictConfig, LEFT_OUT, record(), {ITEM.item_id}, needs_records=True)
