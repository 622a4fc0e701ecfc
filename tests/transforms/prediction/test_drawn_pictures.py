"""Pictures of every kind of a frame, in either format."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hierprob3d.configs.prediction import (
    PICTURES,
    PredictConfig,
    RunConfig,
    SamplingConfig,
    SourceConfig,
)
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.models import load_models
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction.annotator import run_stages
from hierprob3d.transforms.store.file_names import ids_in_names, is_drawn_picture, is_picture_of


def draw(kinds: tuple[str, ...], picture_format: str) -> dict[str, bytes]:
    """Pictures of the demo's astronaut by the end of their names."""
    path = Path(ASSETS) / "demo" / "astronaut.png"
    image = np.asarray(Image.open(path).convert("RGB"))
    config = PredictConfig(
        source=SourceConfig(inputs=(str(path),)),
        sampling=SamplingConfig(num_samples=8),
        run=RunConfig(output="o", visualise=frozenset(kinds), picture_format=picture_format),
    )
    item = picture_item(str(path))
    batch = Batch([Frame(item, image)])
    run_stages(batch, load_models(config.models), config)
    assert not batch.failures and len(batch.people) == 1
    assert all(is_drawn_picture(picture.name) for picture in batch.pictures)
    assert all(is_picture_of(p.name, ids_in_names([item.item_id])) for p in batch.pictures)
    return {p.name.split("-", 2)[-1]: p.data for p in batch.pictures}


@pytest.mark.parametrize(("extension", "name"), [("jpg", "JPEG"), ("png", "PNG")])
def test_every_kind_is_a_file_of_the_format_asked_for(extension: str, name: str) -> None:
    drawn = draw(PICTURES, extension)
    sizes = {
        what.removesuffix(f".{extension}"): Image.open(io.BytesIO(data))
        for what, data in drawn.items()
    }
    assert {picture.format for picture in sizes.values()} == {name}
    assert {what: picture.size[0] for what, picture in sizes.items()} == {
        "uncropped": 512, "person0-crop": 1024, "person0-figure": 1664, "person0-samples": 9 * 256
    }  # fmt: skip


def test_samples_are_shown_over_the_photograph_and_from_two_sides() -> None:
    data = draw(("samples",), "png")["person0-samples.png"]
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[26:]
    over, front, side = (sheet[row * 256 : (row + 1) * 256, :256] for row in range(3))
    assert sheet.shape == (3 * 256, 9 * 256, 3)
    assert (over == 255).all(-1).mean() < 0.05  # a photograph fills it
    assert min((view == 255).all(-1).mean() for view in (front, side)) > 0.5
    assert (over[:, :256] != sheet[:256, 256:512]).any()  # another body over the same picture
