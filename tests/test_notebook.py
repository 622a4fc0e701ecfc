"""The notebook of the docs runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install hierprob3d[plots]")

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "people.ipynb"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the cells leave behind, run one after the other."""
    if not NOTEBOOK.is_file():
        pytest.skip("no documentation beside the code")
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    return names


def test_the_run_is_done_and_read(names: dict[str, Any]) -> None:
    assert names["exit_code"] == 0 and len(names["people"]) == 1
    assert names["vertices"].shape == (6880, 3) and names["samples"].shape == (20, 6880, 3)
    assert 0.5 < names["head"][2] < 6


def test_the_figure_shows_body_views_and_joints(names: dict[str, Any], tmp_path: Path) -> None:
    figure = names["figure"]
    over, views, joints, sizes = figure.axes
    assert over.get_images()[0].get_array().shape == (360, 360, 3)
    assert views.get_images()[0].get_array().shape[0] == 360
    assert len(joints.patches) == 23 and "height" in sizes.texts[0].get_text()
    figure.savefig(tmp_path / "person.png")
    assert (tmp_path / "person.png").stat().st_size > 10_000
