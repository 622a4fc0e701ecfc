"""The models of a run: which files they are read from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hierprob3d.configs.paper_inference import ProxySettings
from hierprob3d.configs.prediction import ModelsConfig
from hierprob3d.model.network.checkpoints import save_distribution_net
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import NetworkConfig, WeightsMetadata
from hierprob3d.model.people.blazepose import BLAZEPOSE_PATH
from hierprob3d.model.people.blazepose_keypoints import BlazePoseKeypoints
from hierprob3d.model.people.movenet import MULTIPOSE_PATH, THUNDER_PATH
from hierprob3d.transforms.batch.isolation import People
from hierprob3d.transforms.batch.models import (
    detector_path,
    keypoint_estimator,
    keypoints_path,
    load_models,
    proxy_settings,
)
from hierprob3d.transforms.prediction.proxies import make_proxies


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


def test_keypoint_models_have_their_own_files() -> None:
    assert keypoints_path("movenet", None) == THUNDER_PATH
    assert keypoints_path("blazepose", None) == BLAZEPOSE_PATH
    assert keypoints_path("blazepose", "mine") == Path("mine")
    model = keypoint_estimator("blazepose", None, torch.device("cpu"))
    assert isinstance(model, BlazePoseKeypoints)


def test_models_loaded_in_inference_mode_serve_outside_of_it() -> None:
    with torch.inference_mode():
        body = load_models(ModelsConfig(detector="none")).body
    betas = torch.zeros(1, 10, requires_grad=True)
    body.shape(betas).vertices.sum().backward()
    assert betas.grad is not None and bool(betas.grad.any())


@pytest.fixture(scope="module")
def proxy_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that reads proxies, 18 layers deep."""
    path = tmp_path_factory.mktemp("weights") / "proxy.safetensors"
    metadata = WeightsMetadata(body_family="openbody", sign_rule="invariant")
    save_distribution_net(DistributionNet(metadata.network_config()), path, metadata)
    return str(path)


def test_the_paper_s_settings_change_the_network_s_input(
    tmp_path: Path, proxy_weights: str
) -> None:
    file = tmp_path / "cfg.yaml"
    file.write_text("DATA: {HEATMAP_GAUSSIAN_STD: 8.0, EDGE_NMS: false, BBOX_SCALE_FACTOR: 1.5}")
    image = np.random.default_rng(0).integers(0, 255, (90, 60, 3), dtype=np.uint8)
    keypoints = torch.full((1, 17, 3), 40.0)
    people = People([], [], {
        "frame": torch.tensor([0]), "bbox": torch.tensor([[10.0, 10, 50, 80]]),
        "keypoints": keypoints,
    })  # fmt: skip
    columns = [
        make_proxies(
            people, [image], load_models(ModelsConfig(weights=proxy_weights, pose_shape_cfg=path))
        )
        for path in (None, str(file))
    ]
    usual, other = columns
    assert float(other["crop"][0, 2] / usual["crop"][0, 2]) == pytest.approx(1.5 / 1.2)
    assert float(other["proxy"][0, 1].sum() / usual["proxy"][0, 1].sum()) == pytest.approx(4, 0.02)
    assert (other["proxy"][0, 0] > 0).sum() > 1.5 * (usual["proxy"][0, 0] > 0).sum()


def test_settings_of_a_network_with_other_layers_are_refused(
    tmp_path: Path, proxy_weights: str
) -> None:
    file = tmp_path / "cfg.yaml"
    file.write_text("MODEL: {NUM_RESNET_LAYERS: 50}")
    with pytest.raises(ValueError, match="NUM_RESNET_LAYERS is 50, but the weights have 18"):
        load_models(ModelsConfig(weights=proxy_weights, pose_shape_cfg=str(file)))


def test_weights_carry_how_their_input_was_made_and_a_file_goes_before(tmp_path: Path) -> None:
    config = NetworkConfig(embed_dim=128)
    metadata = WeightsMetadata(
        body_family="smpl", sign_rule="paper", embed_dim=128, proxy={"heatmap_std": 3.0}
    )
    net: Any = SimpleNamespace(config=config, metadata=metadata)
    assert proxy_settings(None, net) == ProxySettings(heatmap_std=3.0)
    file = tmp_path / "cfg.yaml"
    file.write_text("DATA: {EDGE_NMS: false}\nMODEL: {EMBED_DIM: 128}\n")
    assert proxy_settings(str(file), net) == ProxySettings(edge_nms=False, embed_dim=128)
    file.write_text("MODEL: {EMBED_DIM: 256}\n")
    with pytest.raises(ValueError, match="MODEL.EMBED_DIM is 256, but the weights have 128: give"):
        proxy_settings(str(file), net)
