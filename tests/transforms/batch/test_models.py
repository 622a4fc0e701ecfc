"""The models of a run: which files they are read from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hierprob3d.configs.prediction import ModelsConfig
from hierprob3d.model.people.movenet import MULTIPOSE_PATH
from hierprob3d.transforms.batch.models import detector_path, load_models


def test_the_detector_file_is_the_one_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert detector_path(ModelsConfig()) == MULTIPOSE_PATH
    for detector in ("movenet", "maskrcnn"):
        config = ModelsConfig(detector=detector, detector_weights="mine.pth")
        assert detector_path(config) == Path("mine.pth")
    # Where torch.hub puts downloads; the name is that of the published file.
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    name = "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    assert detector_path(ModelsConfig(detector="maskrcnn")) == tmp_path / "checkpoints" / name


def test_models_loaded_in_inference_mode_serve_outside_of_it() -> None:
    with torch.inference_mode():
        body = load_models(ModelsConfig(detector="none")).body
    betas = torch.zeros(1, 10, requires_grad=True)
    body.shape(betas).vertices.sum().backward()
    assert betas.grad is not None and bool(betas.grad.any())
