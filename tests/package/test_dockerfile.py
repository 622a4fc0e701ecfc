"""The image of workers: looked over by hadolint, with the versions that are tested here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


def argument(name: str) -> str:
    """Default of a build argument."""
    match = re.search(rf"^ARG {name}=(.+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None
    return match[1]


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("no hadolint in this environment")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_has_the_versions_that_are_tested() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"apache-beam=={argument('BEAM')}" in constraints.splitlines()
    assert argument("PYTHON") in ("3.11", "3.12")


def test_requirements_are_those_of_the_package() -> None:
    words = [sys.executable, ROOT / "docker" / "requirements_of.py", ROOT / "pyproject.toml", "s3"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    names = {Requirement(line).name for line in done.stdout.splitlines()}
    assert {"apache-beam", "torch", "pyarrow", "fsspec"} <= names and "pytest" not in names


def test_what_the_image_copies_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")}  # fmt: skip
    copied = re.findall(r"^COPY (?!--)(.+) /setup/$", DOCKERFILE.read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} <= kept
    assert {
        path.name for path in (ROOT / "src" / "hierprob3d").iterdir() if path.is_symlink()
    } <= kept
