"""What is to run on a first GPU runs, on a CPU."""

from __future__ import annotations

import json

import pytest
from benchmarks import gpu


def test_all_but_training_runs_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--batch-sizes", "2", "--no-training"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines] == [
        "largest difference from the CPU", "people/s, batches of 2", "share of the roofline"
    ]  # fmt: skip
    assert lines[0]["pose_F"] == 0 and lines[1]["all"] > 0 and lines[2]["detector"] > 0
