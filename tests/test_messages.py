"""Messages that the docs quote are those of the commands and functions.

Every block of the docs that shows a command or Python line with its answer (`console`, `pycon`) is
executed, page by page and in its order, in a folder with a few files.
"""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image

from hierprob3d.pipelines.command.cli import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(console|pycon)\n(.*?)^```", re.S | re.M)
PAGES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
}
QUOTING = [name for name, text in PAGES.items() if BLOCK.search(text)]
CANNOT_BE_HAD: dict[str, Callable[[], object]] = {
    "--device cuda": torch.cuda.is_available,
    "s3://": lambda: find_spec("s3fs"),
}
"""Words of commands whose message comes only where something is missing that is there."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, one of them damaged, a run of them, and files that are not what they should be."""
    folder = tmp_path_factory.mktemp("messages")
    for name in ("photos", "empty", "smpl", "pw3d"):
        (folder / name).mkdir()
    meadow = folder / "photos" / "meadow.jpg"
    Image.new("RGB", (128, 96), (90, 120, 80)).save(meadow)
    (folder / "photos" / "damaged.jpg").write_bytes(meadow.read_bytes()[:300])
    (folder / "list.csv").write_text("path\nphotos/meadow.jpg\n")
    for name in ("page.safetensors", "page.pkl"):
        (folder / name).write_text("<html>Please sign in</html>")
    words = ["--output", str(folder / "out"), "--detector", "none"]
    assert main(["predict", str(folder / "photos"), *words]) == 0
    return folder


@pytest.mark.parametrize("page", QUOTING)
def test_messages_of_the_docs_are_as_quoted(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    capfd.readouterr()
    wrong = []
    for kind, block in BLOCK.findall(PAGES[page]):
        wrong += wrong_lines_of_python(block) if kind == "pycon" else []
        for command, quoted in commands(block) if kind == "console" else ():
            if any(word in command and there() for word, there in CANNOT_BE_HAD.items()):
                continue
            main(shlex.split(command)[1:])
            said = "".join(capfd.readouterr()).strip()
            if not re.fullmatch(".*".join(map(re.escape, quoted.split("…"))), said):
                wrong.append(f"{command}\n  docs: {quoted}\n  said: {said}")
    assert not wrong, "\n".join(wrong)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, with the lines below it."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, answer = part.partition("\n")
        yield command, answer.strip()


def wrong_lines_of_python(block: str) -> list[str]:
    """What doctest says of the lines of an interactive session."""
    test = doctest.DocTestParser().get_doctest(block, {}, "docs", None, None)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    return said


@pytest.mark.parametrize("page", PAGES)
def test_messages_are_quoted_where_they_are_tried(page: str) -> None:
    rest = BLOCK.sub("", PAGES[page])
    assert (
        re.findall(r"^.*(?:hierprob3d [\w-]+: |\b[A-Z][A-Za-z]+(?:Error|Warning): ).*$", rest, re.M)
        == []
    )
