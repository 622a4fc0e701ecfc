"""The log as a program reads it back, and as TensorBoard reads it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hierprob3d.training.run.run_log import TRAINING, VALIDATION, RunLog, read_log, readable_minutes


def test_a_repeated_stretch_counts_once(tmp_path: Path) -> None:
    log = RunLog(tmp_path, tensorboard=False, step=0)
    for step, total in ((1, 9.0), (2, 8.0), (2, 7.0)):
        log.write(TRAINING, {"step": step, "total": total})
    log.write(VALIDATION, {"step": 2, "MPJPE-PA": 100.0})
    with log.path.open("a") as file:
        file.write('{"kind": "training", "st')  # killed here
    lines = read_log(log.path)
    assert [line.get("total", line.get("MPJPE-PA")) for line in lines] == [9.0, 7.0, 100.0]


def test_a_line_after_an_unfinished_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"kind": "training", "st')
    RunLog(tmp_path, tensorboard=False, step=0).write(TRAINING, {"step": 1, "total": 2.0})
    assert read_log(tmp_path / "log.jsonl") == [{"kind": TRAINING, "step": 1, "total": 2.0}]


def test_tensorboard_reads_losses_metrics_and_pictures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, tensorboard=True, step=0)
    log.write(TRAINING, {"step": 20, "of": 100, "total": 3.5})
    log.write(VALIDATION, {"step": 50, "MPJPE-PA": 100.0})
    log.picture("people/epoch_000", np.zeros((8, 9, 3), np.uint8), 50)
    log.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"training/total", "validation/MPJPE-PA"}
    assert [(e.step, e.value) for e in events.Scalars("training/total")] == [(20, 3.5)]
    assert [(e.width, e.height) for e in events.Images("people")] == [(9, 8)]


def test_without_tensorboard_a_line_says_so_and_the_log_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.INFO):
        log = RunLog(tmp_path, tensorboard=True, step=0)
    assert "hierprob3d[train]" in caplog.text
    log.write(TRAINING, {"step": 1, "total": 2.0})
    assert len(read_log(log.path)) == 1 and not (tmp_path / "tensorboard").exists()


def test_the_console_reads_the_time_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        RunLog(tmp_path, False, 0).write(TRAINING, {"step": 1, "minutes_left": 185.2})
    assert "step=1 left=3 h 05 min" in caplog.text
    assert [readable_minutes(m) for m in (0.44, 12.3, 59.9)] == ["0.4 min", "12 min", "1 h 00 min"]


def test_pictures_keep_their_colours(tmp_path: Path) -> None:
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 0] = 200
    RunLog(tmp_path, False, 0).picture("losses", red, 0)
    written = cv2.imread(str(tmp_path / "pictures" / "losses.png"))
    assert (written == [0, 0, 200]).all()  # OpenCV reads blue first
    assert len(list((tmp_path / "pictures").iterdir())) == 1
