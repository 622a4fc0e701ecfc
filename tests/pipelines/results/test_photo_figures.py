"""The table of photographs, from the rows of a prediction run."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_run import write_example_run, write_manifest

from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.pipelines.results.photo_figures import (
    PersonFit,
    person_fits,
    photo_figures,
    photo_markdown,
)
from hierprob3d.pipelines.results.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    write_example_run(tmp_path)
    write_manifest(tmp_path, {"model_files": {"weights": {"sha256": "abc"}}})
    return RunFolder(str(tmp_path))


def test_errors_are_in_pixels_of_the_crop(folder: RunFolder) -> None:
    figures = photo_figures(person_fits(folder, "abc"))
    assert figures["people"] == 4 and figures["people_without_keypoints"] == 0
    astronaut, clip = figures["pictures"]
    # 4.5 px of the picture, whose crops have sides of 480, 170, 170 and 120 px.
    assert astronaut == {
        "name": "astronaut.png", "people": 1, "median_px": 2.4, "largest_px": 2.4,
        "refined_median_px": None,
    }  # fmt: skip
    assert clip["people"] == 3
    assert clip["median_px"] == pytest.approx(4.5 * 256 / 170, abs=0.01)
    assert clip["largest_px"] == pytest.approx(4.5 * 256 / 120, abs=0.01)
    assert figures["quantiles"]["0.5"] == pytest.approx(4.5 * 256 / 170, abs=0.01)
    assert "| pedestrians.mp4 | 3 | 6.8 | 9.6 |" in photo_markdown(figures)


def test_people_without_visible_keypoints_are_counted_apart() -> None:
    fits = [PersonFit("a.png", None, 0, 3.0), PersonFit("b.png", None, 0, None)]
    figures = photo_figures(fits)
    assert figures["people_without_keypoints"] == 1 and figures["quantiles"]["0.9"] == 3.0
    assert figures["pictures"][1]["median_px"] is None
    assert "| b.png | 1 | – | – |" in photo_markdown(figures)


def test_refined_bodies_have_figures_of_their_own() -> None:
    fits = [PersonFit("a.png", None, 0, 8.0, 4.0), PersonFit("a.png", None, 1, 6.0, 2.0)]
    figures = photo_figures(fits)
    assert figures["refined_quantiles"]["0.5"] == 3.0
    page = photo_markdown(figures)
    assert "| a.png | 2 | 7.0 | 8.0 | 3.0 |" in page and "| refined body |" in page


def test_nobody_with_visible_keypoints_leaves_dashes() -> None:
    page = photo_markdown(photo_figures([PersonFit("a.png", None, 0, None)]))
    assert "| mode | – | – | – | – | – |" in page and "refined" not in page


def test_predictions_of_other_weights_are_refused(folder: RunFolder) -> None:
    with pytest.raises(UsageError, match="with the same --weights"):
        person_fits(folder, "def")
