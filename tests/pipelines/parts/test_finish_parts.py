"""What needs all parts: totals, tables and label files exactly as one process makes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hierprob3d.pipelines.command.cli import main
from hierprob3d.pipelines.parts.finish_parts import joined_manifest
from hierprob3d.pipelines.parts.part_states import DONE, PartState
from hierprob3d.transforms.store.part_plan import PartPlan
from tests.pipelines.trials import evaluate_trial, preprocess_trial

NUM_ROWS = 6


def in_parts(num_parts: int, words: list[str], output: Path) -> int:
    """Plans, works and finishes a command in this process; the exit code of finishing."""
    assert main(["plan", "--parts", str(num_parts), "--", *words, "--output", str(output)]) == 0
    for part in range(num_parts):
        assert main(["work", str(output), "--part", str(part)]) == 0
    return main(["finish", str(output)])


def test_totals_of_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = evaluate_trial(tmp_path, NUM_ROWS, num_samples=3)
    output, whole = tmp_path / "out", tmp_path / "whole"
    assert in_parts(3, trial.words, output) == 0
    assert "MPJPE" in capsys.readouterr().out
    assert main([*trial.words, "--output", str(whole)]) == 0
    trial.compare(output, whole)
    metrics = json.loads((output / "metrics.json").read_text())
    run = metrics["run"]
    assert metrics["rows"] == NUM_ROWS
    assert run["status"] == "finished" and run["counts"]["ok"] == NUM_ROWS
    assert run["parts"] == {
        "planned": 3, "done": 3, "at work": 0, "stopped": 0, "never started": 0
    }  # fmt: skip
    assert main(["finish", str(output)]) == 0  # again
    assert json.loads((output / "metrics.json").read_text())["rows"] == NUM_ROWS


def test_an_evaluation_that_is_not_whole_has_no_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = [*evaluate_trial(tmp_path, 4, num_samples=2).words, "--output", str(output)]
    assert main(["plan", "--parts", "2", "--", *words]) == 0
    assert main(["work", str(output), "--part", "1"]) == 0
    assert main(["finish", str(output)]) == 1
    assert "never started: 0" in capsys.readouterr().err
    assert not (output / "metrics.json").exists()


def test_labels_of_3dpw(golden: Path, golden_smpl: Path, tmp_path: Path) -> None:
    trial = preprocess_trial(tmp_path, golden, golden_smpl)
    output, whole = tmp_path / "out", tmp_path / "whole"
    assert in_parts(3, trial.words, output) == 0
    assert main([*trial.words, "--output", str(whole)]) == 0
    trial.compare(output, whole)
    assert len(list((output / "cropped_frames").iterdir())) == 8


def test_times_are_those_of_the_folders_clock() -> None:
    """Of two parts side by side the clock of one machine is an hour ahead."""
    manifests = [
        {"started": f"2026-01-01T{hour}:00:{second}+00:00", "seconds": 30.0,
         "clock_lead_seconds": lead, "counts": {"items": 2}, "errors_by_stage": {},
         "stage_seconds": {}}
        for hour, second, lead in ((12, "05", 0.0), (13, "15", 3600.0))
    ]  # fmt: skip
    plan = PartPlan(plan_id="plan", command="predict", words=(), beam_words=(), config={},
                    model_files={}, schema_version="2", created="", items="", num_shards=4,
                    items_per_part=(2, 2), facts={})  # fmt: skip
    states = [PartState(part, DONE, (manifest,)) for part, manifest in enumerate(manifests)]
    record = joined_manifest(plan, states)
    assert record["seconds"] == 40.0 and record["images_per_s"] == 0.1
