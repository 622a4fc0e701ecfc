from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hierprob3d.model.body.skeleton import JOINT_FLIP
from hierprob3d.model.network.checkpoints import (
    WeightsError,
    load_distribution_net,
    save_distribution_net,
)
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.network.network_config import LiftConfig, WeightsMetadata
from hierprob3d.model.picture.cameras import half_turn_x, project_to_crop
from hierprob3d.model.rotation.rotations import special_procrustes


def metadata_of(net: LiftNet) -> WeightsMetadata:
    return WeightsMetadata(
        body_family="openbody", sign_rule="invariant", global_spread=True, lift_width=16,
        lift_blocks=1, lift_doubt=net.config.doubt,
    )  # fmt: skip


SIGNS = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module", params=["as before", "with doubt"])
def net(request: pytest.FixtureRequest) -> LiftNet:
    torch.manual_seed(0)
    net = LiftNet(LiftConfig(width=16, blocks=1, doubt=request.param == "with doubt")).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        net.rest_pelvis.copy_(torch.tensor([0.1, -0.3, 0.05]))
        net.pelvis_by_betas.normal_(0, 0.02)
    return net.requires_grad_(False)


@pytest.fixture()
def seen() -> LiftInput:
    generator = torch.Generator().manual_seed(1)
    keypoints, landmarks = (
        torch.rand(5, num, size, generator=generator) for num, size in ((17, 3), (33, 5))
    )
    keypoints[..., :2] *= 256
    landmarks[..., :3] *= 256
    landmarks[3] = torch.nan
    return LiftInput(keypoints, landmarks)


def test_nobody_depends_on_the_batch(net: LiftNet, seen: LiftInput) -> None:
    together = net(seen)
    for person in range(5):
        alone = net(seen[person : person + 1])
        for name, values in vars(alone).items():
            expected = getattr(together, name)[person : person + 1]
            torch.testing.assert_close(values, expected, atol=2e-5, rtol=2e-5)
    nobody = net(seen[:0])
    assert nobody.pose_F.shape == (0, 23, 3, 3) and nobody.camera.shape == (0, 3)


def test_a_mirror_image_gets_the_mirror_images_of_the_bodies(net: LiftNet, seen: LiftInput) -> None:
    people, images = net(seen), net(seen.mirrored())
    rotmats = [
        torch.cat([out.global_rotmat[:, None], out.pose_mode], 1) for out in (people, images)
    ]
    expected = SIGNS[:, None] * rotmats[0][:, list(JOINT_FLIP)] * SIGNS
    torch.testing.assert_close(rotmats[1], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(images.shape_mean, people.shape_mean)


def test_the_mode_is_that_of_the_distribution(net: LiftNet, seen: LiftInput) -> None:
    output = net(seen)
    assert output.global_F is not None
    torch.testing.assert_close(special_procrustes(output.pose_F), output.pose_mode)
    torch.testing.assert_close(special_procrustes(output.global_F), output.global_rotmat)
    rebuilt = output.pose_U * output.pose_S[..., None, :] @ output.pose_V.mT
    torch.testing.assert_close(rebuilt, output.pose_F, atol=1e-4, rtol=1e-4)
    columns = output.global_rotmat[..., :2].flatten(1)
    torch.testing.assert_close(output.global_rot6d, columns)


def test_the_camera_sees_the_pelvis_where_the_estimate_has_it(
    net: LiftNet, seen: LiftInput
) -> None:
    numbers, frame = seen.numbers()
    body = net.estimate(net.features(numbers), frame)
    pelvis = net.rest_pelvis + body.betas @ net.pelvis_by_betas
    points = torch.stack([pelvis, pelvis + torch.tensor([1.0, 0.0, 0.0])], dim=1)
    assert half_turn_x(points).shape == (5, 2, 3)
    place, metre_left = project_to_crop(points, net.camera(body)).unbind(1)
    torch.testing.assert_close(place, body.pelvis, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(metre_left[:, :1] - place[:, :1], body.zoom, atol=1e-3, rtol=1e-4)


def test_doubt_hears_of_disagreement_and_of_missing_landmarks(
    net: LiftNet, seen: LiftInput
) -> None:
    frame = seen.numbers()[1]
    apart = seen.apart(frame)
    assert apart[3].eq(0).all()  # no landmarks
    known = seen.keypoints[:3, :, 2] >= 0.1
    assert apart[:3][known].gt(0).all() and apart[:3][~known].eq(0).all()
    if net.config.doubt:
        plain = net(seen)
        with torch.no_grad():
            net.temperatures[0] = 3.0
            other = net(seen)
            net.temperatures.fill_(1.0)
        torch.testing.assert_close(other.pose_F[3], 3 * plain.pose_F[3])
        torch.testing.assert_close(other.pose_F[:3], plain.pose_F[:3])


def test_temperatures_scale_the_concentrations(net: LiftNet, seen: LiftInput) -> None:
    plain = net(seen)
    with torch.no_grad():
        net.temperatures[..., 1:] = 2.0
        hot = net(seen)
        net.temperatures.fill_(1.0)
    torch.testing.assert_close(hot.pose_F, 2 * plain.pose_F)
    torch.testing.assert_close(hot.global_F, plain.global_F)


def test_weights_come_back_from_both_kinds_of_file(
    net: LiftNet, seen: LiftInput, tmp_path: Path
) -> None:
    expected = net(seen)
    for name, tolerance in (("whole.safetensors", 0.0), ("parts", 0.02)):
        save_distribution_net(net, tmp_path / name, metadata_of(net))
        again = load_distribution_net(tmp_path / name)
        assert isinstance(again, LiftNet) and again.metadata == metadata_of(net)
        torch.testing.assert_close(
            again(seen).pose_mode, expected.pose_mode, atol=tolerance, rtol=0
        )


def test_weights_from_before_there_was_doubt_predict_as_they_did(
    seen: LiftInput, tmp_path: Path
) -> None:
    """Their files say nothing of it; of each joint there is one temperature."""
    torch.manual_seed(2)
    net = LiftNet(LiftConfig(width=16, blocks=1)).eval().requires_grad_(False)
    net.temperatures.uniform_(0.5, 2.0)
    save_distribution_net(net, tmp_path, metadata_of(net))
    index = json.loads((tmp_path / "index.json").read_text())
    del index["notes"]["lift_doubt"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    again = load_distribution_net(tmp_path)
    assert isinstance(again, LiftNet)
    torch.testing.assert_close(again.temperatures, net.temperatures)
    torch.testing.assert_close(again(seen).pose_F, net(seen).pose_F, atol=0.02, rtol=0.01)


def test_weights_of_one_network_do_not_pass_for_those_of_the_other(
    net: LiftNet, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="The metadata speak of"):
        save_distribution_net(
            net, tmp_path / "a.safetensors", WeightsMetadata(body_family="smpl", sign_rule="paper")
        )
    with pytest.raises(ValueError, match="The metadata speak of"):
        save_distribution_net(DistributionNet(), tmp_path / "b.safetensors", metadata_of(net))
    with pytest.raises(ValueError, match="width >= 1"):
        LiftConfig(width=0)
    assert issubclass(WeightsError, ValueError)
