"""Progress lines."""

from __future__ import annotations

import io
import time

from hierprob3d.pipelines.run.progress import Progress, progress_line


def test_line_has_share_rate_and_time_left() -> None:
    # 40 in 16 s are 2.5 a second; the 60 others take 24 s.
    assert progress_line(40, 100, 16.0) == "40/100 items, 40 %, 2.50 items/s, 0:24 left"


def test_line_before_the_first_shard_promises_nothing() -> None:
    assert progress_line(0, 100, 75.0) == "0/100 items, 0 %, 1:15 since the start"


def test_long_runs_show_hours() -> None:
    assert progress_line(1, 7201, 1.0).endswith("2:00:00 left")


def test_prints_while_the_block_lasts_and_once_at_its_end() -> None:
    stream, done = io.StringIO(), iter(range(100))
    with Progress(lambda: next(done), 100, interval=0.01, stream=stream):
        time.sleep(0.1)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 3
    assert lines[-1].startswith(f"{len(lines) - 1}/100 items")
