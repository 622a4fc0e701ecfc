"""The report in a real browser: it opens from the disk, sorts, filters and turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium_page import ChromiumPage, chromium
from example_run import write_example_run

from hierprob3d.pipelines.command.cli import main

SHOWN = "[...document.querySelectorAll('.card:not([hidden])')]"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chromium()
    folder = tmp_path_factory.mktemp("run")
    write_example_run(folder)
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(report: Path) -> Iterator[ChromiumPage]:
    with ChromiumPage() as page:
        page.open(report)
        yield page


def choose(page: ChromiumPage, field: str, value: str) -> None:
    page.value(f"""(() => {{ const field = document.querySelector({field!r});
        field.value = {value!r};
        field.dispatchEvent(new Event("input", {{bubbles: true}})); }})()""")


def canvas(page: ChromiumPage, tmp_path: Path) -> np.ndarray:
    """What the viewer shows, without the frame of what has the focus."""
    x, y, width, height = map(int, box(page))
    path = tmp_path / "page.png"
    page.screenshot(path)
    return cv2.imread(str(path))[y + 8 : y + height - 8, x + 8 : x + width - 8].astype(int)


def box(page: ChromiumPage) -> list[float]:
    return page.value("""(() => { const canvas = document.getElementById("viewer");
        canvas.scrollIntoView({block: "center"}); const box = canvas.getBoundingClientRect();
        return [box.x, box.y, box.width, box.height]; })()""")


def test_it_sorts_and_filters(page: ChromiumPage) -> None:
    assert page.value(f"{SHOWN}.length") == 5
    spreads = page.value(f"{SHOWN}.map((card) => Number(card.dataset.spread)).slice(0, 4)")
    assert spreads == sorted(spreads), "from the surest"
    choose(page, "#kind", "UnreadablePicture")
    assert page.value(f"{SHOWN}.map((card) => card.dataset.kind)") == ["UnreadablePicture"]
    choose(page, "#kind", "")
    choose(page, "[data-high=time]", "0.05")
    assert page.value(f"{SHOWN}.map((card) => card.dataset.time)") == ["0.000"]
    choose(page, "[data-high=time]", "")
    choose(page, "#words", "ASTRONAUT")
    assert page.value(f"{SHOWN}.length") == 1
    page.value("document.querySelector('button[type=reset]').click()")
    page.wait_for(f"{SHOWN}.length === 5")
    page.value("document.querySelector('[data-show-track]').dispatchEvent(new Event('click'))")
    assert page.value("document.getElementById('shown').textContent") == "2 of 5 shown, track 3"
    page.value("document.querySelector('button[type=reset]').click()")
    page.wait_for(f"{SHOWN}.length === 5")


def test_the_body_turns_under_mouse_and_keys(page: ChromiumPage, tmp_path: Path) -> None:
    front = canvas(page, tmp_path)
    assert front.std() > 8, "a body is there"
    x, y, width, height = box(page)
    middle = (x + width / 2, y + height / 2)
    page.drag(middle, (middle[0] + 150, middle[1]))
    turned = canvas(page, tmp_path)
    assert np.abs(turned - front).mean() > 2
    page.value("document.getElementById('viewer').focus()")
    page.press("Home")
    assert np.abs(canvas(page, tmp_path) - front).mean() < 0.5, "back at the front"
    page.press("ArrowLeft")
    assert np.abs(canvas(page, tmp_path) - front).mean() > 0.5
    page.press("Home")
    choose(page, "#bodies", "all")
    assert np.abs(canvas(page, tmp_path) - front).mean() > 0.3, "samples around it"


def test_nothing_complains_and_narrow_windows_do_not_scroll_sideways(
    page: ChromiumPage, report: Path
) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=380, height=800, deviceScaleFactor=1,
              mobile=True)  # fmt: skip
    assert page.value("document.documentElement.scrollWidth") <= 380
    for small in (".timeline text", "#errors th"):
        height = page.value(f"document.querySelector({small!r}).getBoundingClientRect().height")
        assert 10 < height < 35, f"{small}: one line that can be read"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", features=dark)
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
    assert page.complaints == []
