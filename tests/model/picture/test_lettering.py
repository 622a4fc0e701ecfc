"""Text lies where it is asked to, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from hierprob3d.model.picture.lettering import write_text
from tests.model.picture.grey_pictures import drawn_pixels, grey


def test_text_starts_or_ends_at_its_place() -> None:
    for ends, beside in ((False, np.s_[:, :58]), (True, np.s_[:, 62:])):
        picture = grey(40, 120)
        write_text(picture, "text", (60, 25), colour=(255, 0, 0), ends=ends)
        drawn = drawn_pixels(picture)
        assert drawn.sum() > 20 and not drawn[beside].any()
        assert not drawn[30:].any()  # the baseline, and nothing hangs below it


@pytest.mark.parametrize("place", [(-500, 20), (500, 20), (5, 5), (118, 39), (60, -90)])
def test_text_beyond_the_border_is_cut(place: tuple[int, int]) -> None:
    picture = grey(40, 120)
    write_text(picture, "text", place)
    inside = place in ((5, 5), (118, 39))
    assert drawn_pixels(picture).any() == inside and picture.shape == (40, 120, 3)


def test_middles_are_middles() -> None:
    picture = grey(40, 120)
    write_text(picture, "ooo", (60, 25), middle=True)
    columns = np.flatnonzero(drawn_pixels(picture).any(0))
    assert abs((columns[0] + columns[-1]) / 2 - 60) <= 2
