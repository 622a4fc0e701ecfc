"""A run whose inputs and results lie in a store that fails again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from flaky_store import LOG_VARIABLE, failed_calls, register

from hierprob3d.transforms.store.retries import PAUSE_VARIABLE
from tests.pipelines.conftest import PEDESTRIANS, copy_person, read_rows

NUM_PICTURES = 2
IN_A_WORKER = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "1")


@pytest.fixture
def flaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Log of the calls that failed, of this process and of workers that it starts."""
    installed = tmp_path / "site" / "flaky_store-1.dist-info"  # as a back-end makes itself known
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: flaky_store\nVersion: 1\n")
    point = "[fsspec.specs]\nflaky = flaky_store:FlakyFileSystem\n"
    (installed / "entry_points.txt").write_text(point)
    monkeypatch.syspath_prepend(installed.parent)
    monkeypatch.setenv(PAUSE_VARIABLE, "0.001")
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "log"))
    register()
    return tmp_path / "log"


def test_nothing_is_lost_and_nothing_twice(
    predict: Callable[..., int], flaky: Path, tmp_path: Path
) -> None:
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for number in range(NUM_PICTURES):
        copy_person(inputs / f"{number}.png")
    (inputs / "clip.mp4").write_bytes(PEDESTRIANS.read_bytes())
    words = (f"flaky://{inputs}", "--output", f"flaky://{output}", "--frame-step", "30",
             "--shard-size", "1", "--visualise", "crops")  # fmt: skip
    assert predict(*words, *IN_A_WORKER) == 0
    counts = Counter(read_rows(output, "frames")["item_id"].to_pylist())
    assert len(counts) == NUM_PICTURES + 1 and set(counts.values()) == {1}
    people = read_rows(output, "people")
    assert len({*zip(people["item_id"].to_pylist(), people["person_index"].to_pylist(),
                     strict=True)}) == people.num_rows >= NUM_PICTURES  # fmt: skip
    assert set(read_rows(output, "frames")["status"].to_pylist()) <= {"ok", "no_person"}
    assert not list((output / "errors").glob("*.parquet"))
    failed = Counter(failed_calls(flaky))
    assert {"ls", "info", "open", "read", "cat_file", "pipe_file", "put_file", "makedirs"} <= set(
        failed
    )
    assert predict(*words, "--overwrite") == 0
    assert set(Counter(read_rows(output, "frames")["item_id"].to_pylist()).values()) == {1}
