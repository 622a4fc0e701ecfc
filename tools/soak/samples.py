"""Small whole files of every kind that is read: what mutations start from."""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse
import torch
from PIL import Image

from hierprob3d.model.files.weight_files import write_tensors

_SIDE = 48
_NUM_FRAMES = 12


def pictures() -> dict[str, bytes]:
    """One of every kind that Pillow writes and we read, and some of their varieties."""
    plain, grey = _pattern(), _pattern().convert("L")
    frames = [plain.rotate(angle) for angle in (90, 180)]
    several: dict[str, Any] = {"save_all": True, "append_images": frames, "duration": 40}
    pages: dict[str, Any] = {"save_all": True, "append_images": frames}
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "plain.jpg": (plain, "JPEG", {"exif": exif, "comment": b"holiday"}),
        "progressive.jpg": (plain, "JPEG", {"progressive": True}),
        "grey.jpg": (grey, "JPEG", {}),
        "cmyk.jpg": (plain.convert("CMYK"), "JPEG", {}),
        "plain.png": (plain, "PNG", {"exif": exif}),
        "alpha.png": (plain.convert("RGBA"), "PNG", {}),
        "deep.png": (Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG", {}),
        "palette.png": (plain.quantize(16), "PNG", {}),
        "animated.png": (plain, "PNG", several),
        "lossless.webp": (plain, "WEBP", {"lossless": True, "exif": exif}),
        "plain.webp": (plain, "WEBP", {}),
        "animated.webp": (plain, "WEBP", several),
        "plain.gif": (plain, "GIF", {}),
        "animated.gif": (plain, "GIF", several),
        "packed.tif": (plain, "TIFF", {"compression": "tiff_lzw"}),
        "deflated.tif": (plain, "TIFF", {"compression": "tiff_deflate"}),
        "jpeg.tif": (plain, "TIFF", {"compression": "jpeg"}),
        "pages.tif": (plain, "TIFF", pages),
        "deep.tif": (Image.fromarray(np.asarray(grey).astype(np.uint16) * 16), "TIFF", {}),
        "plain.jp2": (plain, "JPEG2000", {}),
        "plain.avif": (plain, "AVIF", {"exif": exif}),
        "pictures.mpo": (plain, "MPO", pages),
        "plain.bmp": (plain, "BMP", {}),
        "plain.dib": (plain, "DIB", {}),
        "plain.ppm": (plain, "PPM", {}),
        "plain.tga": (plain, "TGA", {"compression": "tga_rle"}),
        "plain.pcx": (plain, "PCX", {}),
        "plain.sgi": (plain, "SGI", {}),
        "plain.qoi": (plain, "QOI", {}),
    }
    made = {name: _encoded(*recipe) for name, recipe in kinds.items()}
    return {name: data for name, data in made.items() if data is not None}


def videos() -> dict[str, bytes]:
    """One of every common container, with codecs that PyAV encodes here."""
    kinds = {
        "h264.mp4": ("libx264", {"g": "4", "bf": "2"}),
        "h264.mkv": ("libx264", {"g": "100"}),
        "hevc.mov": ("libx265", {"x265-params": "log-level=none"}),
        "mpeg2.ts": ("mpeg2video", {"g": "5", "bf": "2"}),
        "mpeg1.mpg": ("mpeg1video", {"g": "5"}),
        "mpeg4.avi": ("mpeg4", {"g": "5"}),
        "mjpeg.avi": ("mjpeg", {}),
        "vp9.webm": ("libvpx-vp9", {"cpu-used": "8"}),
        "flv1.flv": ("flv", {}),
        "wmv2.wmv": ("wmv2", {}),
        "h263.3gp": ("h263", {}),
        "theora.ogv": ("libtheora", {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        made = {name: _video(Path(folder) / name, *kind) for name, kind in kinds.items()}
    return {name: data for name, data in made.items() if data}


def model_files() -> dict[str, bytes]:
    """Pickles, archives of arrays, checkpoints and weights, each named by who reads it."""
    body = _body()
    sequence = _sequence()
    made: dict[str, Callable[[Path], Any]] = {
        "body.pkl": lambda path: path.write_bytes(pickle.dumps(body, 2)),
        "body.npz": lambda path: np.savez(path, **body),
        "sequence0.pkl": lambda path: path.write_bytes(pickle.dumps(sequence, 0)),
        "sequence2.pkl": lambda path: path.write_bytes(pickle.dumps(sequence, 2)),
        "sequence4.pkl": lambda path: path.write_bytes(pickle.dumps(sequence, 4)),
        "labels.npz": lambda path: np.savez_compressed(path, **_labels()),
        "keypoints.npy": lambda path: np.save(path, np.zeros((5, 17, 3))),
        "weights.tar": lambda path: torch.save(_checkpoint(), path),
        "legacy.tar": lambda path: torch.save(
            _checkpoint(), path, _use_new_zipfile_serialization=False
        ),
        "weights.safetensors": lambda path: write_tensors(path, _tensors(), {"step": 3}),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, write in made.items():
            write(Path(folder) / name)
        return {name: (Path(folder) / name).read_bytes() for name in made}


def lists() -> dict[str, bytes]:
    """Lists of inputs, with names that are there, that are not, and that nothing opens."""
    names = ["picture one.jpg", "below/picture two.png", "nosuchproto://bucket/x.jpg", "absent.jpg"]
    names += [f"below/number {index}.jpg" for index in range(20)]
    table = io.BytesIO()
    pq.write_table(pa.table({"uri": names, "size": range(len(names))}), table)
    rows = "".join(f'{index},"{name}",x\r\n' for index, name in enumerate(names))
    return {
        "list.txt": ("# pictures\n" + "\n".join(names) + "\n").encode(),
        "list.csv": ("number,uri,note\r\n" + rows).encode(),
        "list.parquet": table.getvalue(),
    }


def _pattern() -> Image.Image:
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
    return coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)


def _encoded(picture: Image.Image, kind: str, options: dict[str, Any]) -> bytes | None:
    """The file; None where this Pillow does not write the kind."""
    data = io.BytesIO()
    try:
        picture.save(data, kind, **options)
    except (KeyError, OSError):
        return None
    return data.getvalue()


def _video(path: Path, codec: str, options: dict[str, str]) -> bytes:
    """The file; empty where this PyAV has no such encoder."""
    if codec not in av.codecs_available:
        return b""
    image = np.asarray(_pattern().resize((176, 144)))
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10, options=options)
            stream.width, stream.height = 176, 144
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(_NUM_FRAMES):
                moved = np.roll(image, 5 * number, axis=1)
                frame = av.VideoFrame.from_ndarray(moved, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except av.FFmpegError:
        return b""
    return path.read_bytes()


def _body() -> dict[str, Any]:
    """The first vertices of a body: a whole one is too large to be mutated so often."""
    random = np.random.default_rng(0)
    return {
        "v_template": random.normal(size=(40, 3)),
        "f": random.integers(0, 40, (70, 3)).astype(np.uint32),
        "shapedirs": random.normal(size=(40, 3, 10)),
        "posedirs": np.zeros((40, 3, 207), np.int8),
        "J_regressor": scipy.sparse.csc_matrix(np.eye(24, 40)),
        "weights": np.eye(40, 24),
        "kintree_table": np.zeros((2, 24), np.uint32),
    }


def _sequence() -> dict[str, Any]:
    """Two people in three frames, as 3DPW stores them."""
    return {
        "sequence": "walk",
        "poses": [np.zeros((3, 72))] * 2,
        "betas": [np.zeros(300)] * 2,
        "genders": ["m", "f"],
        "campose_valid": [np.ones(3)] * 2,
        "trans": [np.zeros((3, 3))] * 2,
        "cam_poses": np.tile(np.eye(4), (3, 1, 1)),
        "cam_intrinsics": np.eye(3),
    }


def _labels() -> dict[str, np.ndarray]:
    return {"imgname": np.array(["a.png", "b.png"]), "pose": np.zeros((2, 72)),
            "center": np.ones((2, 2)), "wh": np.ones(2)}  # fmt: skip


def _tensors() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(12.0).view(3, 4), "b.weight": torch.ones(5).half()}


def _checkpoint() -> dict[str, Any]:
    return {"best_model_state_dict": _tensors(), "epoch": 3, "loss": {"val": np.float64(1.5)}}
