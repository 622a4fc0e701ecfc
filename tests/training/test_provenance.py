from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from hierprob3d.training.provenance import _source_version, code_version


def _repository(folder: Path) -> Path:
    """A file in a repository that does not track it yet."""
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    file = folder / "code.py"
    file.write_text("x = 1\n")
    return file


def _commit(file: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["add", file.name], [*identity, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", *words], cwd=file.parent, check=True)


def test_a_tracked_source_names_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    file = _repository(tmp_path)
    _commit(file)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert _source_version(file) == {"commit": head}
    file.write_text("x = 2\n")
    assert _source_version(file) == {"commit": f"{head}-dirty"}


def test_the_commit_of_a_foreign_repository_around_it_is_not_taken(tmp_path: Path) -> None:
    assert set(_source_version(_repository(tmp_path))) == {"version"}


def test_torch_is_named() -> None:
    assert code_version()["torch"] == torch.__version__
