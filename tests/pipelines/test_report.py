from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from example_run import ASTRONAUT, WARNING, write_example_run

from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.results.report_pictures import HEIGHT, NUM_SAMPLES, NUM_VERTICES
from hierprob3d.transforms.store.output_folder import OutputFolder

VOID = ("meta", "img", "br", "input")


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
        if tag not in VOID:
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


def cards(page: str) -> list[dict[str, str]]:
    """What can be sorted and filtered by, of every card."""
    tags = re.findall(r'<button type="button" class="card"([^>]*)>', page)
    return [dict(re.findall(r'data-([a-z]+)="([^"]*)"', tag)) for tag in tags]


def test_page_is_well_formed_and_needs_nothing_from_outside(page: str) -> None:
    collector = Collector(page)
    assert not collector.open
    assert not {"link", "a", "iframe", "object"} & set(collector.tags)
    for name, value in collector.attributes:
        assert name != "href"
        assert name != "src" or (value or "").startswith("data:image/jpeg;base64,")
        assert name != "style" or "url(" not in (value or "")
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", page.replace("http-equiv", ""))


def test_only_the_pages_own_script_may_run(page: str) -> None:
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    _, script = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


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
    assert "All 4 of them." in text and "frame 1 (0.10 s)" in text


def test_cards_hold_what_they_are_sorted_and_filtered_by(page: str) -> None:
    found = cards(page)
    people = [card for card in found if card["kind"] == "person"]
    assert len(people) == 4 and len(found) == 5
    for card in people:
        assert {"spread", "reprojection", "size", "quality", "height", "person"} <= card.keys()
    assert sum("time" in card for card in people) == 3
    assert sum(card.get("track", "").startswith("3 ") for card in people) == 2
    [failed] = [card for card in found if card["kind"] != "person"]
    assert failed["kind"] == "UnreadablePicture" and failed["name"] == "script&gt;.jpg"


def test_pictures_hold_the_photograph_and_the_overlay(page: str) -> None:
    found = pictures(page)
    assert len(found) == 4
    for picture in found:
        assert picture.shape == (HEIGHT, 2 * HEIGHT, 3)
        photograph, overlay = picture[:, :HEIGHT].astype(int), picture[:, HEIGHT:].astype(int)
        assert np.abs(photograph - overlay).mean() > 2, "the body must be drawn over it"
        assert photograph.std() > 10, "the photograph must be there"


def test_everybody_has_meshes_for_the_viewer(page: str) -> None:
    [data] = re.findall(r'<script type="application/json" id="meshes">(.*?)</script>', page)
    meshes = json.loads(data)
    [faces] = [np.frombuffer(base64.b64decode(text), "<u2") for text in meshes["faces"]]
    assert faces.max() == NUM_VERTICES - 1 and len(faces) % 3 == 0
    assert len(meshes["people"]) == 4
    for person in meshes["people"]:
        bodies = np.frombuffer(base64.b64decode(person["meshes"]), "<i2")
        bodies = bodies.reshape(person["count"], NUM_VERTICES, 3) * meshes["step"]
        assert person["count"] == 1 + min(5, NUM_SAMPLES)
        assert 1 < np.ptp(bodies[0, :, 1]) < 2.3, "metres"
        assert np.abs(bodies[1:] - bodies[0]).max() > 0.01
        assert len(base64.b64decode(person["spread"])) == NUM_VERTICES


def test_tracks_are_lines_of_a_timeline(page: str, folder: Path) -> None:
    [line] = re.findall(r'data-show-track="([^"]*)"', page)
    assert line.startswith("3 ") and line in {card.get("track") for card in cards(page)}
    assert "track 3: 0.00 to 0.10 s, 2 frames in all" in page


def test_a_photograph_that_is_gone_leaves_the_body_on_plain_ground(tmp_path: Path) -> None:
    write_example_run(tmp_path, moved={ASTRONAUT: "/gone/astronaut.png"})
    assert cli.main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("not found any more") == 1 and len(pictures(page)) == 4


def test_number_of_people_and_place_of_the_page_can_be_chosen(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    assert cli.main(["report", str(folder), "--people", "2", "--output", str(output)]) == 0
    page = output.read_text("utf-8")
    assert len(pictures(page)) == 2 and "A choice of 2 of 4" in page


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


def test_a_page_that_cannot_be_written_is_one_line_and_code_2(folder: Path, capsys: Any) -> None:
    inside_a_file = str(Path(__file__) / "page.html")
    assert cli.main(["report", str(folder), "--people", "0", "--output", inside_a_file]) == 2
    error = capsys.readouterr().err
    assert "test_report.py" in error and error.count("\n") == 1
