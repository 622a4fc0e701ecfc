"""A stored run of schema 1, and the inputs that it was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from hierprob3d.model.network.checkpoints import sha256_of
from tests.pipelines.conftest import PEDESTRIANS, PERSON

SCHEMA1_RUN = Path(__file__).resolve().parent / "schema1_run"
"""See its README."""

COMMAND = (
    "memory://photos", "--num-samples", 2, "--save", "samples", "--people", "centre",
    "--frame-step", 20, "--keypoints", "movenet", "--engine", "torch",
)  # fmt: skip
"""Options of the stored run, without --output and --weights; its defaults of then are said here."""


@contextmanager
def photos(**more: bytes) -> Iterator[None]:
    """The run's inputs, memory://photos, and more pictures by the stem of their name."""
    store = fsspec.filesystem("memory")
    store.pipe_file("/photos/astronaut.png", PERSON.read_bytes())
    store.pipe_file("/photos/clip.mp4", PEDESTRIANS.read_bytes())
    store.pipe_file("/photos/damaged.png", b"damaged")
    for name, content in more.items():
        store.pipe_file(f"/photos/{name}.png", content)
    try:
        yield
    finally:
        store.rm("/photos", recursive=True)


def copy_run(folder: Path, weights: Path | None = None) -> Path:
    """The run, to be changed.

    Args:
        folder: Where it goes, made anew.
        weights: Those it is to have been made with: a network's random start is not the same in
            every version of torch.
    """
    shutil.copytree(SCHEMA1_RUN, folder)
    if weights is not None:
        (path,) = (folder / "runs").glob("*.json")
        manifest = json.loads(path.read_text())
        manifest["model_files"]["weights"]["sha256"] = sha256_of(weights)
        path.write_text(json.dumps(manifest))
    return folder
