"""The distribution network against the recorded outputs of the original, and its own promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import ANCESTORS
from hierprob3d.model.network import pose_head
from hierprob3d.model.network.distribution_net import (
    INITIAL_GLOBAL_CONCENTRATION,
    DistributionNet,
    NetOutput,
)
from hierprob3d.model.network.network_config import NetworkConfig
from hierprob3d.model.rotation import rotations
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher


@pytest.fixture(scope="module")
def record(golden: Path) -> dict[str, Tensor]:
    """What the original computed for a batch of 4."""
    with np.load(golden / "a_net.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def proxy(golden: Path) -> Tensor:
    with np.load(golden / "a_proxy_input.npz") as arrays:
        return torch.from_numpy(arrays["proxy_uint16"].astype(np.float32) / 4096)


@pytest.fixture(scope="module")
def output(paper_net: DistributionNet, proxy: Tensor) -> NetOutput:
    with torch.inference_mode():
        return paper_net(proxy)


def assert_near(actual: Tensor, expected: Tensor, atol: float) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


def test_parameters_are_the_papers(golden: Path) -> None:
    keys = json.loads((golden / "a_pose_net_keys.json").read_text())
    state = DistributionNet().state_dict()
    assert list(state) == list(keys)
    assert {k: [list(v.shape), str(v.dtype)] for k, v in state.items()} == {
        k: entry[:2] for k, entry in keys.items()
    }


def test_ancestors_are_the_originals(golden: Path) -> None:
    notes = json.loads((golden / "a_net_notes.json").read_text())
    assert [list(a) for a in ANCESTORS] == [notes["parents_dict"][str(j)] for j in range(23)]


def test_outputs_free_of_svd_signs_equal_the_originals(
    paper_net: DistributionNet, proxy: Tensor, output: NetOutput, record: dict[str, Tensor]
) -> None:
    with torch.inference_mode():
        assert_near(paper_net.encode(proxy), record["feats"], 1e-5)
    assert_near(output.shape_mean, record["shape_loc"], 1e-5)
    assert_near(output.shape_std, record["shape_scale"], 1e-5)
    assert_near(output.global_rot6d, record["glob"], 1e-5)
    assert_near(output.camera, record["cam"], 1e-5)
    assert_near(output.pose_F[:, :3], record["F"][:, :3], 1e-4)
    assert_near(output.pose_mode[:, :3], record["mode"][:, :3], 1e-4)


def test_joints_whose_ancestors_have_the_same_signs_equal_the_originals(
    output: NetOutput, record: dict[str, Tensor]
) -> None:
    products = (output.pose_U * record["U_proper"]).sum(-2)[..., :2]
    same = (products > 0).all(-1)  # (4, 23)
    clean = torch.stack([same[:, list(a)].all(1) for a in ANCESTORS], dim=1)
    assert clean.float().mean() > 0.9  # one flipped joint spoils at most a limb of one person
    assert_near(output.pose_F[clean], record["F"][clean], 1e-5 * 157)
    assert_near(output.pose_S[clean], record["S_proper"][clean], 1e-5 * 157)
    assert_near(output.pose_mode[clean], record["mode"][clean], 1e-4)


def test_svd_step_alone(paper_net: DistributionNet, record: dict[str, Tensor]) -> None:
    pose = paper_net.fc_pose._decompose(record["F"])
    torch.testing.assert_close(pose.S, record["S_proper"], atol=1e-5, rtol=1e-5)
    assert_near(pose.mode, record["mode"], 1e-5)
    for ours, theirs in ((pose.U, record["U_proper"]), (pose.V, record["V_proper"])):
        assert_near((ours * theirs).sum(-2).abs(), torch.ones(4, 23, 3), 1e-4)


def teacher(record: dict[str, Tensor]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """An SVD that answers with the recorded factors, joint after joint in the tree's order."""
    walked = 0

    def recorded_svd(F: Tensor) -> tuple[Tensor, ...]:
        nonlocal walked
        joints = slice(walked, walked + len(F))
        walked += len(F)
        factors = (record[name][:, joints] for name in ("U_proper", "S_proper", "V_proper"))
        return tuple(factor.transpose(0, 1) for factor in factors)

    return recorded_svd


def test_all_joints_teacher_forced(
    paper_net: DistributionNet, record: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose_head, "proper_svd", teacher(record))
    with torch.inference_mode():
        pose = paper_net.fc_pose(record["embed"])
    assert_near(pose.F, record["F"], 1e-4)


def test_sign_aligned_svd_makes_everything_comparable(
    paper_net: DistributionNet, record: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded_svd = teacher(record)

    def aligned_svd(F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        U, S, V = rotations.proper_svd(F)
        sign = (U * recorded_svd(F)[0]).sum(-2, keepdim=True).sign()
        return U * sign, S, V * sign

    monkeypatch.setattr(pose_head, "proper_svd", aligned_svd)
    with torch.inference_mode():
        pose = paper_net.fc_pose(record["embed"])
    assert_near(pose.F, record["F"], 1e-5 * 157)
    assert_near(pose.mode, record["mode"], 1e-4)


@pytest.mark.parametrize("num_people", [1, 2, 3])
def test_part_of_a_batch_equals_its_rows(
    paper_net: DistributionNet, proxy: Tensor, output: NetOutput, num_people: int
) -> None:
    with torch.inference_mode():
        part = paper_net(proxy[-num_people:])
    assert part.global_F is None
    for name, value in vars(part).items():
        if value is None:
            continue
        assert len(value) == num_people
        assert_near(value, getattr(output, name)[-num_people:], 1e-4)


@pytest.mark.parametrize("sign_rule", pose_head.SIGN_RULES)
def test_one_person_alone_as_in_a_batch(sign_rule: str) -> None:
    torch.manual_seed(0)
    net = DistributionNet(NetworkConfig(sign_rule=sign_rule)).eval()
    features = torch.randn(16, 512)
    with torch.no_grad():
        for joint in range(23):  # concentrations as in trained weights
            net.fc_pose._linears(joint)[1].weight.mul_(20)
        together = net.decode(features)
        alone = [net.decode(features[i : i + 1]) for i in range(16)]
    assert_near(torch.cat([one.pose_F for one in alone]), together.pose_F, 1e-4)
    assert_near(torch.cat([one.pose_mode for one in alone]), together.pose_mode, 1e-5)


def test_nobody_is_a_batch_too() -> None:
    with torch.no_grad():
        assert DistributionNet().eval().decode(torch.zeros(0, 512)).pose_F.shape == (0, 23, 3, 3)


def test_global_rotation_is_a_rotation_of_the_first_two_columns() -> None:
    net = DistributionNet().eval()
    with torch.no_grad():
        net.fc_glob.weight.zero_()
        # A quarter turn about z: columns (0, 1, 0) and (-1, 0, 0), stored row by row.
        net.fc_glob.bias.copy_(torch.tensor([0.0, -1, 1, 0, 0, 0]) - net.init_glob[0])
        output = net.decode(torch.randn(3, 512))
    quarter_turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert_near(output.global_rotmat, quarter_turn.expand(3, 3, 3), 1e-6)


def test_stride_two_averages_the_proxy() -> None:
    net = DistributionNet(NetworkConfig(sign_rule="invariant", input_stride=2)).eval()
    proxy = torch.rand(1, 18, 128, 128)
    averaged = proxy.unflatten(2, (64, 2)).unflatten(4, (64, 2)).mean(dim=(3, 5))
    with torch.no_grad():
        assert_near(net.encode(proxy), net.image_encoder(averaged), 1e-5)


def test_only_the_encoder_leaves_float32_under_autocast() -> None:
    torch.manual_seed(0)
    net = DistributionNet(NetworkConfig(sign_rule="invariant", global_spread=True))
    net = net.to(memory_format=torch.channels_last)
    proxy = torch.rand(2, 18, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert net.encode(proxy).dtype == torch.bfloat16
        output = net(proxy)
        assert all(value.dtype == torch.float32 for value in vars(output).values())
    loss = sum(value.square().mean() for value in vars(output).values())
    assert isinstance(loss, Tensor)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())


@pytest.fixture
def spread_net() -> DistributionNet:
    """Weights of the further layer as a training may leave them."""
    torch.manual_seed(0)
    net = DistributionNet(NetworkConfig(sign_rule="invariant", global_spread=True)).eval()
    with torch.no_grad():
        net.fc_glob_spread.weight.normal_(std=0.1)
        net.fc_glob_spread.bias.normal_()
    return net


def test_global_rotation_is_the_mode_of_its_distribution(spread_net: DistributionNet) -> None:
    with torch.no_grad():
        output = spread_net.decode(torch.randn(16, 512))
    assert output.global_F is not None
    # In float64: another processor's float32 SVD was 1.3e-5 off.
    mode = MatrixFisher(output.global_F.double()).mode
    assert_near(mode, output.global_rotmat.double(), 1e-5)
    # Not only the paper's mode: the further layer says how far off, and in which direction.
    concentration = output.global_rotmat.mT @ output.global_F
    assert_near(concentration, concentration.mT, 1e-3)
    eigenvalues = torch.linalg.eigvalsh(concentration)
    assert (eigenvalues > 0).all() and (eigenvalues[:, 2] > 2 * eigenvalues[:, 0]).any()


def test_global_spread_starts_the_same_for_everybody_and_changes_nothing_else() -> None:
    torch.manual_seed(0)
    plain = DistributionNet(NetworkConfig())
    torch.manual_seed(0)
    net = DistributionNet(NetworkConfig(global_spread=True))
    state = net.state_dict()
    assert list(state)[-2:] == ["fc_glob_spread.weight", "fc_glob_spread.bias"]
    assert all(torch.equal(value, state[key]) for key, value in plain.state_dict().items())
    with torch.no_grad():
        output = net.eval().decode(torch.randn(3, 512))
    assert output.global_F is not None
    assert_near(output.global_F, INITIAL_GLOBAL_CONCENTRATION * output.global_rotmat, 1e-5)
    spread = MatrixFisher(output.global_F).angular_spread_deg()
    assert_near(spread, torch.full((3,), 22.3), 0.5)


def test_global_spread_learns_alone(spread_net: DistributionNet) -> None:
    output = spread_net.decode(spread_net.encode(torch.rand(2, 18, 64, 64)))
    assert output.global_F is not None
    (-MatrixFisher(output.global_F).log_prob(torch.eye(3))).sum().backward()
    reached = {name for name, value in spread_net.named_parameters() if value.grad is not None}
    assert reached == {"fc_glob_spread.weight", "fc_glob_spread.bias"}


def test_resnet50_has_the_papers_widths() -> None:
    with torch.device("meta"):
        net = DistributionNet(NetworkConfig(num_layers=50))
    assert net.fc1.weight.shape == (1024, 2048)
    assert net.fc_embed.weight.shape == (256, 2048 + 20 + 6 + 3)
    assert net.state_dict()["image_encoder.conv1.weight"].shape == (64, 18, 7, 7)


@pytest.mark.parametrize(
    ("field", "value"), [("num_layers", 34), ("sign_rule", "random"), ("input_stride", 3)]
)
def test_config_names_the_wrong_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        NetworkConfig(**{field: value})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("sign_rule", pose_head.SIGN_RULES)
def test_cuda_agrees_with_cpu(sign_rule: str) -> None:
    torch.manual_seed(0)
    net = DistributionNet(NetworkConfig(sign_rule=sign_rule)).eval()
    features = torch.randn(8, 512)
    with torch.no_grad():
        on_cpu = net.decode(features)
        on_gpu = net.cuda().decode(features.cuda())
    assert on_gpu.pose_F.device.type == "cuda"
    assert_near(on_gpu.pose_F.cpu(), on_cpu.pose_F, 1e-3)
