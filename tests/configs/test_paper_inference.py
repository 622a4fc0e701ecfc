"""The paper's settings file where a network is used: followed, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.configs.paper_inference import ProxySettings, read_proxy_settings


def test_no_file_and_the_published_values_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "cfg.yaml"
    file.write_text(
        "DATA: {EDGE_NMS: true, EDGE_THRESHOLD: 0.0, HEATMAP_GAUSSIAN_STD: 4.0, "
        "BBOX_SCALE_FACTOR: 1.2, PROXY_REP_SIZE: 256}\nTRAIN: {BATCH_SIZE: 7}\n"
    )
    assert read_proxy_settings(str(file)) == read_proxy_settings(None) == ProxySettings()


def test_what_differs_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "cfg.yaml"
    file.write_text(
        "MODEL: {NUM_RESNET_LAYERS: 50, EMBED_DIM: 128}\n"
        "DATA: {EDGE_NMS: false, EDGE_GAUSSIAN_SIZE: 7, "
        "EDGE_GAUSSIAN_STD: 2, HEATMAP_GAUSSIAN_STD: 3, BBOX_SCALE_FACTOR: 1.1, "
        "BBOX_THRESHOLD: 0.8, EDGE_THRESHOLD: 0.1}\n"
    )
    assert read_proxy_settings(str(file)) == ProxySettings(
        edge_nms=False, edge_gaussian_size=7, edge_gaussian_std=2, heatmap_std=3, box_scale=1.1,
        detector_threshold=0.8, edge_threshold=0.1, num_layers=50,
        embed_dim=128,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MODEL: {NUM_SMPL_BETAS: 8}", "MODEL.NUM_SMPL_BETAS is 10 here and cannot be 8"),
        ("DATA: {EDGE_NSM: true}", "no setting 'DATA.EDGE_NSM'.* 'DATA.EDGE_NMS'"),
        ("DATA: {EDGE_NMS: 3}", "DATA.EDGE_NMS must be of the kind of True, got 3"),
        ("DATA: {EDGE_GAUSSIAN_SIZE: 4}", "DATA.EDGE_GAUSSIAN_SIZE must be odd, got 4"),
        ("DATA: {HEATMAP_GAUSSIAN_STD: 0}", "HEATMAP_GAUSSIAN_STD must be above 0, got 0"),
    ],
)
def test_what_cannot_be_followed_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "cfg.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_proxy_settings(str(file))
