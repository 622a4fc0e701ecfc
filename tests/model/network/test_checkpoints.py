"""Weights that go to disk and come back, and every way in which a file can be the wrong one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.files.weight_files import read_torch_checkpoint, write_parts, write_tensors
from hierprob3d.model.network.checkpoints import (
    WeightsError,
    default_weights_path,
    load_distribution_net,
    save_distribution_net,
    save_paper_checkpoint,
)
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import NetworkConfig, WeightsMetadata

OPEN = WeightsMetadata(
    body_family="openbody",
    sign_rule="invariant",
    input_stride=2,
    keypoint_visibility="all above 0.3",
    provenance={"steps": 1000, "data": ["cmu"]},
)


@pytest.fixture(scope="module")
def net() -> DistributionNet:
    torch.manual_seed(0)
    return DistributionNet(OPEN.network_config()).eval()


def assert_same_state(net: DistributionNet, state: dict[str, Tensor]) -> None:
    assert list(net.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def save_as_paper(path: Path, state: dict[str, Tensor], metadata: WeightsMetadata = OPEN) -> None:
    save_paper_checkpoint(
        path,
        metadata=metadata,
        epoch=7,
        model_state=state,
        best_epoch=5,
        best_metrics={"MPJPE-PA": np.float64(0.04)},
        best_state=state,
        optimiser_state={"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]},
    )


def test_papers_checkpoint_loads_whole(golden: Path, paper_net: DistributionNet) -> None:
    keys = json.loads((golden / "a_pose_net_keys.json").read_text())
    hashes = {
        key: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
        for key, value in paper_net.state_dict().items()
    }
    assert hashes == {key: entry[2] for key, entry in keys.items()}
    assert paper_net.body_family == "smpl"
    assert paper_net.config == NetworkConfig(num_layers=18, sign_rule="paper", input_stride=1)
    assert not paper_net.training


def test_papers_weights_keep_their_outputs_in_float16(
    paper_net: DistributionNet, golden: Path, tmp_path: Path
) -> None:
    save_distribution_net(
        paper_net, tmp_path, WeightsMetadata(body_family="smpl", sign_rule="paper")
    )
    with np.load(golden / "a_net.npz") as record:
        features = torch.from_numpy(record["feats"])
        expected = torch.from_numpy(record["shape_loc"])
    with torch.no_grad():
        actual = load_distribution_net(tmp_path).decode(features).shape_mean
    torch.testing.assert_close(actual, expected, atol=2e-3, rtol=0)


def test_one_file_gives_the_network_back(net: DistributionNet, tmp_path: Path) -> None:
    save_distribution_net(net, tmp_path / "w.safetensors", OPEN)
    loaded = load_distribution_net(tmp_path / "w.safetensors")
    assert_same_state(loaded, net.state_dict())
    assert (loaded.metadata, loaded.body_family) == (OPEN, "openbody")
    proxy = torch.rand(1, 18, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(proxy).pose_F, net(proxy).pose_F)


def test_folder_gives_the_network_back_in_small_float16_parts(
    net: DistributionNet, tmp_path: Path
) -> None:
    save_distribution_net(net, tmp_path / "w", OPEN)
    parts = list((tmp_path / "w").glob("*.safetensors"))
    assert len(parts) == 2
    assert all(part.stat().st_size < 15_000_000 for part in parts)
    for loaded in (
        load_distribution_net(tmp_path / "w"),
        load_distribution_net(tmp_path / "w" / "index.json"),
    ):
        assert loaded.metadata == OPEN
        assert all(value.dtype == torch.float32 for value in loaded.parameters())
        rounded = {k: v.half().float() if v.ndim > 1 else v for k, v in net.state_dict().items()}
        assert_same_state(loaded, rounded)


@pytest.mark.parametrize("name", ["global_spread", "keypoint_lift"])
def test_additions_to_the_paper_s_network_come_back(name: str, tmp_path: Path) -> None:
    metadata = replace(OPEN, **{name: True})
    net = DistributionNet(metadata.network_config()).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    save_distribution_net(net, tmp_path / "w.safetensors", metadata)
    loaded = load_distribution_net(tmp_path / "w.safetensors")
    assert getattr(loaded.config, name)
    assert_same_state(loaded, net.state_dict())


@pytest.mark.parametrize("name", ["global_spread", "keypoint_lift"])
def test_weights_from_before_an_addition_do_without(
    name: str, net: DistributionNet, tmp_path: Path
) -> None:
    notes = {key: value for key, value in asdict(OPEN).items() if key != name}
    write_tensors(tmp_path / "w.safetensors", net.state_dict(), notes)
    assert not getattr(load_distribution_net(tmp_path / "w.safetensors").config, name)


def test_loading_leaves_the_random_state_alone(net: DistributionNet, tmp_path: Path) -> None:
    save_distribution_net(net, tmp_path / "w.safetensors", OPEN)
    before = torch.get_rng_state()
    load_distribution_net(tmp_path / "w.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_loaded_network_can_be_trained_on(net: DistributionNet, tmp_path: Path) -> None:
    save_distribution_net(net, tmp_path / "w.safetensors", OPEN)
    loaded = load_distribution_net(tmp_path / "w.safetensors").train()
    loaded(torch.rand(2, 18, 64, 64)).pose_F.sum().backward()
    assert all(p.grad is not None for p in loaded.fc_pose.parameters())


def test_weights_beyond_float16_are_refused_in_parts(tmp_path: Path) -> None:
    net = DistributionNet(OPEN.network_config())
    with torch.no_grad():
        net.fc1.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="Not finite in float16.*fc1.weight"):
        save_distribution_net(net, tmp_path / "w", OPEN)


def test_metadata_must_describe_the_network(net: DistributionNet, tmp_path: Path) -> None:
    other = WeightsMetadata(body_family="openbody", sign_rule="paper", input_stride=2)
    with pytest.raises(ValueError, match="sign_rule='paper'.*sign_rule='invariant'"):
        save_distribution_net(net, tmp_path / "w.safetensors", other)


def test_training_checkpoint_has_the_papers_layout(net: DistributionNet, tmp_path: Path) -> None:
    save_as_paper(tmp_path / "c.tar", net.state_dict())
    content = read_torch_checkpoint(tmp_path / "c.tar")
    # The six keys of the published file, and ours.
    assert set(content) - {"hierprob3d_metadata"} == {
        "epoch", "best_epoch", "best_epoch_val_metrics",
        "model_state_dict", "best_model_state_dict", "optimiser_state_dict",
    }  # fmt: skip
    assert content["best_epoch_val_metrics"] == {"MPJPE-PA": 0.04}
    loaded = load_distribution_net(tmp_path / "c.tar")
    assert loaded.metadata == OPEN
    assert_same_state(loaded, net.state_dict())


def test_bundled_weights_have_their_place_beside_the_model() -> None:
    assert default_weights_path().parent.name == "assets"
    assert (default_weights_path().parent / "openbody").is_dir()


@pytest.mark.parametrize("name", ["absent.tar", "absent.safetensors", "absent"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{name} do not exist"):
        load_distribution_net(tmp_path / name)


def test_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no weights"):
        load_distribution_net(tmp_path)


def broken_states(state: dict[str, Tensor]) -> dict[str, tuple[dict[str, Tensor], str]]:
    missing = {key: value for key, value in state.items() if key != "fc_cam.bias"}
    return {
        "prefix": (
            {f"module.{key}": value for key, value in state.items()},
            r"224 keys missing \(init_glob, .*224 keys unknown \(module.init_glob, ",
        ),
        "missing": (missing, r"1 keys missing \(fc_cam.bias\)\.$"),
        "foreign": ({**state, "extra": torch.ones(1)}, r"1 keys unknown \(extra\)\.$"),
        "shape": ({**state, "fc_cam.bias": torch.ones(4)}, r"fc_cam.bias \(4,\) instead of \(3,\)"),
    }


@pytest.mark.parametrize("case", ["prefix", "missing", "foreign", "shape"])
def test_weights_that_do_not_fit_are_refused(
    net: DistributionNet, tmp_path: Path, case: str
) -> None:
    state, message = broken_states(net.state_dict())[case]
    save_as_paper(tmp_path / "c.tar", state)
    with pytest.raises(WeightsError, match=f"c.tar does not fit the network: .*{message}"):
        load_distribution_net(tmp_path / "c.tar")


def test_plain_state_dict_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(1), "bn1.bias": torch.ones(1)}, tmp_path / "hrnet.pth")
    with pytest.raises(WeightsError, match="no 'best_model_state_dict' .*conv1.weight, bn1.bias"):
        load_distribution_net(tmp_path / "hrnet.pth")


def test_truncated_checkpoint_is_refused(net: DistributionNet, tmp_path: Path) -> None:
    path = tmp_path / "c.tar"
    save_as_paper(path, net.state_dict())
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match="c.tar is damaged or not a checkpoint"):
        load_distribution_net(path)


def test_weights_without_body_family_are_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {})
    write_parts(tmp_path / "w", {"a": torch.ones(1)}, {"sign_rule": "paper"})
    for name in ("w.safetensors", "w"):
        with pytest.raises(WeightsError, match=f"{name} does not say which body it belongs to"):
            load_distribution_net(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"body_family": "smplx"}, "body_family must be one of .* got 'smplx'"),
        ({"sign_rule": "other"}, "sign_rule must be one of"),
        ({"colour": 3}, "colour"),
    ],
)
def test_unusable_metadata_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    notes = {"body_family": "smpl", "sign_rule": "paper", **changes}
    write_tensors(tmp_path / "w.safetensors", {"a": torch.ones(1)}, notes)
    with pytest.raises(WeightsError, match=f"w.safetensors carries unusable metadata: .*{message}"):
        load_distribution_net(tmp_path / "w.safetensors")


def test_the_width_of_the_papers_embedding_is_that_of_its_tensors(tmp_path: Path) -> None:
    narrow = DistributionNet(NetworkConfig(embed_dim=32))
    state = narrow.state_dict()
    torch.save({"best_model_state_dict": state}, tmp_path / "narrow.tar")
    loaded = load_distribution_net(tmp_path / "narrow.tar")
    assert loaded.config == NetworkConfig(embed_dim=32) and loaded.body_family == "smpl"
    assert_same_state(loaded, state)


def test_edges_and_heatmaps_of_the_training_are_checked() -> None:
    other = {"edge_nms": False, "heatmap_std": 3.0}
    assert replace(OPEN, proxy=other).proxy == other
    with pytest.raises(ValueError, match="edge_gaussian_size must be odd, got 4"):
        replace(OPEN, proxy={"edge_gaussian_size": 4})
