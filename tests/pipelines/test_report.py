from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from example_run import ASTRONAUT, WARNING, write_example_run

from hierprob3d.pipelines.command import cli
from hierprob3d.transforms.store.output_folder import OutputFolder

ALLOWED_ATTRIBUTES = {"src", "class", "style", "height", "alt", "lang", "charset", "name",
                      "content", "http-equiv"}  # fmt: skip


class Collector(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_example_run(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    assert cli.main(["report", str(folder)]) == 0
    return (folder / "report.html").read_text("utf-8")


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1) for data in found]


def test_page_is_well_formed_and_needs_nothing_from_outside(page: str) -> None:
    collector = Collector(page)
    assert not collector.open
    assert not {"script", "link", "a", "iframe", "object"} & set(collector.tags)
    assert {name for name, _ in collector.attributes} <= ALLOWED_ATTRIBUTES
    for name, value in collector.attributes:
        assert name != "src" or (value or "").startswith("data:image/jpeg;base64,")
        assert name != "style" or "url(" not in (value or "")


def test_hostile_names_and_messages_are_text(page: str) -> None:
    assert "<script>alert" not in page
    text = Collector(page).text
    assert "/photos/<script>alert('x')</script>.jpg: <b>the file is empty</b>" in text
    assert WARNING in text


def test_numbers_of_the_run_are_told(page: str) -> None:
    text = Collector(page).text
    for tile in ("5pictures and frames", "4people", "3with people", "1without people", "1failed"):
        assert tile in text
    assert "UnreadablePicture" in text and "left shoulder" in text and "distribution" in text


def test_people_are_shown_from_the_surest_to_the_least_sure(page: str) -> None:
    spreads = [int(value) for value in re.findall(r"mean joint spread (\d+)°", page)]
    assert len(spreads) == 4 and spreads == sorted(spreads)
    assert "frame 1 (0.10 s)" in page


def test_pictures_hold_the_photograph_the_overlay_and_two_views(page: str) -> None:
    found = pictures(page)
    assert len(found) == 4
    for picture in found:
        assert picture.shape[0] == 288 and picture.shape[1] > 2 * 288 + 100
        photograph, overlay = picture[:, :288].astype(int), picture[:, 288:576].astype(int)
        assert np.abs(photograph - overlay).mean() > 2, "the body must be drawn over it"
        assert photograph.std() > 10, "the photograph must be there"
        assert (picture[:, 576:] > 240).all(-1).mean() > 0.4, "views stand on white"


def test_a_photograph_that_is_gone_leaves_the_body_on_white(tmp_path: Path) -> None:
    write_example_run(tmp_path, moved={ASTRONAUT: "/gone/astronaut.png"})
    assert cli.main(["report", str(tmp_path), "--people", "4"]) == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("not found any more") == 1 and len(pictures(page)) == 4


def test_number_of_people_and_place_of_the_page_can_be_chosen(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    assert cli.main(["report", str(folder), "--people", "2", "--output", str(output)]) == 0
    assert len(pictures(output.read_text("utf-8"))) == 2


def test_without_people_no_body_model_is_needed(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    words = ["report", str(folder), "--people", "0", "--body-model", "/no/such/body.npz"]
    assert cli.main([*words, "--output", str(output)]) == 0
    assert not pictures(output.read_text("utf-8"))


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    OutputFolder(str(tmp_path)).create()
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "0</b>people" in (tmp_path / "report.html").read_text("utf-8")


def test_another_body_than_the_recorded_one_is_refused(folder: Path, capsys: Any) -> None:
    other = Path(__file__).parents[2] / "model/assets/openbody/open_body_female.npz"
    assert cli.main(["report", str(folder), "--body-model", str(other)]) == 2
    error = capsys.readouterr().err
    assert "SHA-256" in error and "--body-model" in error and error.count("\n") == 1


def test_missing_folder_is_one_line_and_code_2(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["report", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
