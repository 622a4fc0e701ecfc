"""What the README and the docs show is true: examples run, commands and files exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hierprob3d.pipelines.command.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
ONE_LINE_EACH = re.sub(r"\\\n\s*", "", README)
COMMAND_LINES = re.findall(r"^(?:\.venv/bin/)?hierprob3d (.+)", ONE_LINE_EACH, re.M)


def test_the_reading_examples_run_on_a_result(tmp_path: Path) -> None:
    picture = ROOT / "model" / "assets" / "demo" / "astronaut.png"
    output = tmp_path / "demo_output"
    assert main(["predict", str(picture), "--output", str(output), "--num-samples", "5"]) == 0
    assert "astronaut.png height 1." in shown_by(README, "read", tmp_path)
    rebuilt = shown_by(RESULTS, "rebuild", tmp_path)
    assert rebuilt == "people: 1 samples of the last: (5, 6880, 3)\n"


def test_the_library_example_runs_in_the_clone() -> None:
    assert "(24, 3) torch.Size([50, 23, 3, 3])" in shown_by(README, "library", ROOT)


@pytest.mark.parametrize(("page", "name"), [("results", "read"), ("python", "library")])
def test_examples_of_the_readme_are_the_same_in_the_docs(page: str, name: str) -> None:
    assert between(README, name) in (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


def between(page: str, name: str) -> str:
    """What stands between the markers of that name."""
    return page.split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0]


def shown_by(page: str, name: str, folder: Path) -> str:
    """What a page's code between the markers of that name prints, run in a folder."""
    code = between(page, name)
    code = code.replace("```python", "").replace("```", "")
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_the_options_of_every_command_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line.split("  #")[0])
    assert words[0] in COMMANDS
    assert main([words[0], "--help"]) == 0
    known = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= known


def test_there_are_commands_to_check() -> None:
    assert {line.split()[0] for line in COMMAND_LINES} >= {"predict", "inspect", "report", "export"}


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_linked_files_exist(link: str) -> None:
    assert (ROOT / link).exists()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z-]+)\b", README)) <= targets


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.encode()) <= 8192
