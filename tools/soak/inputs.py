"""Inputs of whole runs: small pictures with and without people, the demo's clip, and poison."""

from __future__ import annotations

import io
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageEnhance

from .commands import DEMO

CLIP = DEMO / "pedestrians.mp4"
_SIDE = 256
_NOBODY_EVERY = 8


def write_pictures(folder: Path, num: int, seed: int) -> list[str]:
    """Names of so many small pictures, all different; every eighth shows nobody."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    with Image.open(DEMO / "astronaut.png") as file:
        person = file.convert("RGB").resize((_SIDE, _SIDE))
    names = [f"{number:03d}.jpg" for number in range(num)]
    for number, name in enumerate(names):
        picture = ImageEnhance.Brightness(person).enhance(random.uniform(0.7, 1.2))
        if number % _NOBODY_EVERY == _NOBODY_EVERY - 1:
            grey = random.integers(0, 256, (8, 8, 3), np.uint8)
            picture = Image.fromarray(grey).resize((_SIDE, _SIDE))
        picture.save(folder / name, quality=90)
    return names


def write_clip(folder: Path) -> None:
    """The demo's clip among the inputs."""
    shutil.copy(CLIP, folder / CLIP.name)


def write_heavy_png(path: Path, side: int = 9990) -> None:
    """A file of a few hundred kB whose pixels with transparency take gigabytes to decode."""
    Image.new("RGBA", (side, side), (10, 20, 30, 40)).save(path, compress_level=9)


def write_endless_jpeg(path: Path, side: int = 9990, num_scans: int = 20_000) -> None:
    """A grey progressive JPEG whose empty scans take minutes to decode."""
    num_blocks = (-(-side // 8)) ** 2
    one_code = [0] * 15
    head = [
        b"\xff\xd8",
        _segment(0xDB, bytes([0, *[1] * 64])),
        _segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])),
        _segment(0xC4, bytes([0, 1, *one_code, 0])),
        _segment(0xC4, bytes([0x10, 1, 1, *one_code[1:], 0xE0, 0])),
        _segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(num_blocks // 8 + 1),
    ]
    num_runs = -(-num_blocks // (1 << 14))
    scan = _segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + bytes((15 * num_runs + 7) // 8)
    path.write_bytes(b"".join(head) + scan * num_scans + b"\xff\xd9")


def write_growing_clip(path: Path, sides: tuple[int, ...] = (64, 64, 12_000, 64)) -> None:
    """Motion JPEG whose frames are of several sizes; the header knows the first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width = stream.height = sides[0]
        stream.pix_fmt = "yuvj420p"
        for index, side in enumerate(sides):
            packet = av.Packet(_jpeg_of_side(side))
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)


def write_playlist(path: Path, num_clips: int = 3000) -> None:
    """A text that names thousands of clips, under a video's extension."""
    path.write_text("ffconcat version 1.0\n" + f"file '{CLIP.name}'\n" * num_clips)


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def _jpeg_of_side(side: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (side, side), (90, 90, 90)).save(data, "JPEG", quality=30)
    return data.getvalue()
