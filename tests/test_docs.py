"""Commands of the docs are taken, their links lead somewhere, and the site builds."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools.site_pages import make_pages

import hierprob3d
from hierprob3d.pipelines.command.cli import parse_command

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
COMMANDS = [
    pytest.param(line, id=f"{page.stem}-{number}")
    for page in PAGES
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    for number, line in enumerate(re.sub(r"\\\n\s*", "", block).splitlines())
    if line.startswith("hierprob3d ")
]
ORIGINAL = {
    "-I", "--image_dir", "-S", "--save_dir", "-W3D", "--pose_shape_weights", "-W2D",
    "--pose2D_hrnet_weights", "--pose_shape_cfg", "-G", "--gender", "-C", "--cropped_images", "-T",
    "--joints2Dvisib_threshold", "-VS", "--visualise_samples", "-VU", "--visualise_uncropped",
    "--gpu", "-D", "--dataset", "-N", "--num_samples", "--dataset_path", "--out_path", "-E",
    "--experiment_dir", "-O", "--pose_shape_cfg_opts", "-R", "--resume_from_epoch",
}  # fmt: skip
"""All options of the original's scripts, in either spelling."""


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_taken(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    assert parse_command(name, words)[1] is not None


def test_commands_of_the_original_are_among_them() -> None:
    pages = {str(case.id).rsplit("-", 1)[0] for case in COMMANDS}
    assert pages >= {"start", "own_files", "evaluate", "train", "from_the_original", "pictures"}


def test_every_option_of_the_original_has_its_place() -> None:
    text = (ROOT / "docs" / "from_the_original.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--?\w+", text))
    assert sorted(ORIGINAL - named) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_anchors_are_headings_on_a_forge_too(page: Path) -> None:
    """Forges make a heading's anchor of its words alone, as the site does."""
    for link in re.findall(r"\]\(([\w.]*\.md)?#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / (link[0] or page.name)).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.M)
        words = [re.sub(r"[^\w -]", "", heading).strip().lower() for heading in headings]
        assert link[1] in [heading.replace(" ", "-") for heading in words], link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_need_no_site_to_be_read(page: Path) -> None:
    assert (
        re.findall(r"^(?:-+8<-+|:::|!!!|\?\?\?|===).*", page.read_text(encoding="utf-8"), re.M)
        == []
    )


def test_the_site_is_whole(tmp_path: Path) -> None:
    """Every link and anchor leads somewhere, every name of the API page exists, all is in reach."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name not in nav] == []
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    make_pages(tmp_path / "build" / "docs")
    shutil.copyfile(ROOT / "mkdocs.yml", tmp_path / "mkdocs.yml")
    (tmp_path / "src").symlink_to(ROOT / "src")
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout
    api = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert [name for name in hierprob3d.__all__ if f"{name}<" not in api] == ["__version__"]
