"""A run of any pipeline: what it says of the folder that it begins in."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.configs.parts import FinishConfig
from hierprob3d.pipelines.run.run import Run
from hierprob3d.transforms.store.output_folder import OutputFolder


@pytest.mark.parametrize(
    ("lead", "words"), [(3600.0, "3600 s ahead of"), (-90.0, "90 s behind"), (59.0, "")]
)
def test_clocks_that_differ_are_told(
    lead: float,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    create = OutputFolder.create

    def by_another_clock(store: OutputFolder, run_id: str) -> float:
        create(store, run_id)
        return lead

    monkeypatch.setattr(OutputFolder, "create", by_another_clock)
    with Run(OutputFolder(str(tmp_path)), FinishConfig(folder=str(tmp_path))):
        said = capsys.readouterr().err
    assert words in said and said.count("\n") == bool(words)
