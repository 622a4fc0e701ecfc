"""Focal lengths from EXIF: of files that Pillow wrote, in every kind of picture that has them."""

from __future__ import annotations

import io
import math

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from hierprob3d.transforms.inputs.focal_length import Lens, find_lens
from hierprob3d.transforms.inputs.picture_files import decode_picture

FOCAL_35MM, FOCAL_MM, WIDTH, HEIGHT = 0xA405, 0x920A, 0xA002, 0xA003
RESOLUTION, UNIT, ORIENTATION = 0xA20E, 0xA210, 0x0112
DIAGONAL = math.hypot(36, 24)


def exif(camera: dict[int, object], orientation: int | None = None) -> bytes:
    block = Image.Exif()
    block.get_ifd(0x8769).update(camera)
    if orientation is not None:
        block[ORIENTATION] = orientation
    return block.tobytes()


def focal_of(kind: str, size: tuple[int, int], block: bytes) -> float | None:
    file = io.BytesIO()
    Image.new("RGB", size, "white").save(file, kind, exif=block)
    return decode_picture(file.getvalue(), 100).focal_px


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_equivalent_is_taken_by_the_diagonal(kind: str) -> None:
    focal = focal_of(kind, (400, 300), exif({FOCAL_35MM: 28, WIDTH: 4000, HEIGHT: 3000}))
    assert focal == pytest.approx(28 / DIAGONAL * 500)


def test_a_turned_picture_has_the_same_focal_length() -> None:
    block = exif({FOCAL_35MM: 28, WIDTH: 400, HEIGHT: 300}, orientation=6)
    assert focal_of("JPEG", (400, 300), block) == pytest.approx(28 / DIAGONAL * 500)


def test_a_picture_cut_out_of_a_larger_one_has_none() -> None:
    block = exif({FOCAL_35MM: 28, WIDTH: 4000, HEIGHT: 3000})
    assert focal_of("JPEG", (300, 300), block) is None


def test_pixels_of_a_known_size_tell_it_too() -> None:
    # 50 mm on a sensor with 200 pixels a millimetre are 10,000 px of 6,000 x 4,000.
    block = exif({FOCAL_MM: IFDRational(50), RESOLUTION: IFDRational(2000), UNIT: 3,
                  WIDTH: 6000, HEIGHT: 4000})  # fmt: skip
    assert focal_of("JPEG", (600, 400), block) == pytest.approx(1000, rel=1e-4)


@pytest.mark.parametrize("camera", [
    {}, {FOCAL_35MM: 0}, {FOCAL_35MM: 65535}, {FOCAL_MM: IFDRational(50)},
    {FOCAL_MM: IFDRational(50), RESOLUTION: IFDRational(2000), UNIT: 3},
])  # fmt: skip
def test_nothing_usable_is_none(camera: dict[int, object]) -> None:
    assert focal_of("JPEG", (400, 300), exif(camera)) is None


def test_blocks_cut_off_anywhere_are_harmless() -> None:
    block = exif({FOCAL_35MM: 28, FOCAL_MM: 4.2})
    found = {find_lens(block[:length]) for length in range(len(block) + 1)}
    assert found == {None, Lens(28)}
