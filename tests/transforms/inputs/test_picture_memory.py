"""Memory of decoding: known before, bounded, and what follows where it does not suffice."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hierprob3d.transforms.inputs.picture_files import (
    UnreadablePicture,
    decode_picture,
    read_picture,
)
from hierprob3d.transforms.inputs.picture_formats import examine, open_picture
from hierprob3d.transforms.inputs.picture_memory import estimate_decode_bytes

SIDE = 3000

# Grown by decoding one picture in a process of its own, after a tiny one of the same kind.
MEASURE = """
import re, sys
from hierprob3d.transforms.inputs.picture_files import decode_picture
from pathlib import Path
small, large = (Path(name).read_bytes() for name in sys.argv[1:])
decode_picture(small, 1)
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
decode_picture(large, 100)
print((peak() - before) * 1024)
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak")

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "RGBA": ("RGBA", "PNG", {"compress_level": 1}),
    "progressive": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "WebP": ("RGB", "WEBP", {"method": 0}),
}


def encode(mode: str, kind: str, side: int, **options: Any) -> bytes:
    shapes = np.random.default_rng(0).integers(0, 256, (30, 30, 4), np.uint8)
    data = io.BytesIO()
    large = cv2.resize(shapes, (side, side), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(large).convert(mode).save(data, kind, **options)
    return data.getvalue()


@on_linux
@pytest.mark.parametrize("name", KINDS)
def test_the_estimate_is_an_upper_bound_and_not_far_off(name: str, tmp_path: Path) -> None:
    mode, kind, options = KINDS[name]
    for side in (30, SIDE):
        (tmp_path / str(side)).write_bytes(encode(mode, kind, side, **options))
    words = [sys.executable, "-c", MEASURE, str(tmp_path / "30"), str(tmp_path / str(SIDE))]
    measured = int(subprocess.run(words, capture_output=True, check=True).stdout)
    encoded = examine((tmp_path / str(SIDE)).read_bytes())
    # The file's bytes are in memory before, too: read, but not copied.
    estimate = estimate_decode_bytes(open_picture(encoded), encoded)
    assert measured < estimate < 1.45 * measured + 15e6


def test_what_does_not_fit_is_refused_before_it_is_decoded() -> None:
    data = encode("RGBA", "PNG", 500)
    assert decode_picture(data, 1, memory_limit_bytes=40_000_000).warning is None
    with pytest.raises(
        UnreadablePicture, match=r"decoding 500 x 500 px \(PNG, RGBA\) takes 0.02 GB"
    ):
        decode_picture(data, 1, memory_limit_bytes=15_000_000)


def test_a_jpeg_is_decoded_smaller_where_it_does_not_fit() -> None:
    data = encode("RGB", "JPEG", 2000)
    whole = decode_picture(data, 10).image
    picture = decode_picture(data, 10, memory_limit_bytes=25_000_000)
    assert picture.image.shape == (1000, 1000, 3)
    assert (picture.warning or "").startswith("decoded at 1/2 of its size for want of memory")
    smaller = cv2.resize(whole, (1000, 1000), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.image.astype(int) - smaller).mean() < 2
    with pytest.raises(UnreadablePicture, match="of memory, more than the 0.01 GB"):
        decode_picture(data, 10, memory_limit_bytes=10_000_000)


def test_a_file_that_is_larger_than_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with open(path, "wb") as file:
        file.truncate(100 << 30)
    with pytest.raises(UnreadablePicture, match=r"a picture file of more than 0.03 GB"):
        read_picture(str(path), 100, memory_limit_bytes=30_000_000)
    data = encode("RGB", "BMP", 2600)
    path.write_bytes(data)  # of several parts
    np.testing.assert_array_equal(read_picture(str(path), 10).image, decode_picture(data, 10).image)
