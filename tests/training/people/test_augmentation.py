from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hierprob3d.configs.keypoint_noise import (
    MOVENET_KEYPOINT_NOISE,
    PAPER_KEYPOINT_NOISE,
    KeypointNoiseConfig,
)
from hierprob3d.configs.paper_training import load_train_config
from hierprob3d.model.body.skeleton import COCO_FLIP
from hierprob3d.model.network.keypoint_lift import places_of_heatmaps
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.augmentation import (
    detected_keypoints,
    mirrored,
    network_input,
    places_of_keypoints,
)
from hierprob3d.training.people.rendered_people import EDGE_STEP, RenderedSet
from tests.oracles.heatmaps import joints2d_to_heatmaps

PAPER_TRAINING = Path(__file__).resolve().parents[3] / "configs" / "paper_training.yaml"
NO_NOISE = KeypointNoiseConfig(
    deviation=0, outlier_probability=0, swap_probability=0, drop_visible=(0,) * 17,
    drop_hidden=(0,) * 17, drop_outside=0, drop_limbs=0,
)  # fmt: skip


@pytest.fixture
def people() -> RenderedSet:
    generator = torch.Generator().manual_seed(0)
    return RenderedSet(
        edges=torch.randint(0, 256, (6, 128, 128), generator=generator, dtype=torch.uint8),
        joints2d=torch.rand(6, 17, 2, generator=generator) * 256,
        outside=torch.rand(6, 17, generator=generator) < 0.2,
        hidden=torch.rand(6, 17, generator=generator) < 0.2,
        rotvecs=torch.randn(6, 24, 3, generator=generator) * 0.5,
        betas=torch.randn(6, 10, generator=generator),
    )


def test_places_of_keypoints_are_those_of_their_heatmaps(people: RenderedSet) -> None:
    kept = torch.rand(people.outside.shape, generator=torch.Generator().manual_seed(0)) > 0.2
    joints2d = people.joints2d.clone()
    kept[0, :4] = True
    # On a border, in a corner, a little outside, far outside.
    joints2d[0, :4] = torch.tensor([[-0.5, 100.0], [255.0, 255.0], [-6.0, 30.0], [400.0, 30.0]])
    proxy = network_input(people, joints2d, kept, 4, torch.float32)
    expected_places, expected_mass = places_of_heatmaps(proxy[:, 1:])
    places, mass = places_of_keypoints(joints2d, kept)
    torch.testing.assert_close(mass, expected_mass, rtol=0, atol=1e-3)
    weighted = places * mass[..., None], expected_places * expected_mass[..., None]
    torch.testing.assert_close(*weighted, rtol=0, atol=2e-3)  # a quarter of a pixel
    assert mass[~kept].abs().max() == 0 and 0 < mass[0, 2] < 0.2


def test_the_network_input_is_the_pooled_proxy(people: RenderedSet) -> None:
    kept = torch.rand(6, 17) < 0.7
    heatmaps = joints2d_to_heatmaps(people.joints2d) * kept[..., None, None]
    pooled = torch.nn.functional.avg_pool2d(heatmaps, 2)
    proxy = network_input(people, people.joints2d, kept, 2, torch.float32)
    assert proxy.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(proxy[:, 1:], pooled, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(proxy[:, 0], people.edges.float() * EDGE_STEP)
    wide = network_input(people, people.joints2d, kept, 2, torch.float32, heatmap_std=7.0)
    heatmaps = joints2d_to_heatmaps(people.joints2d, std=7.0) * kept[..., None, None]
    pooled = torch.nn.functional.avg_pool2d(heatmaps, 2)
    torch.testing.assert_close(wide[:, 1:], pooled, atol=1e-6, rtol=1e-5)
    coarse = network_input(people, people.joints2d, kept, 4, torch.float32)
    torch.testing.assert_close(
        coarse, torch.nn.functional.avg_pool2d(proxy, 2), atol=1e-6, rtol=1e-5
    )


def test_a_mirror_image_mirrors_back(people: RenderedSet) -> None:
    everyone = torch.ones(6, dtype=torch.bool)
    twice = mirrored(mirrored(people, everyone), everyone)
    for name, value in vars(people).items():
        torch.testing.assert_close(getattr(twice, name), value, atol=1e-4, rtol=0)
    nobody = mirrored(people, ~everyone)
    assert torch.equal(nobody.rotvecs, people.rotvecs)


def test_the_mirror_image_of_a_rotation_is_its_conjugate(people: RenderedSet) -> None:
    # Mirroring x turns R into M R M; the left shoulder (16) becomes the right one (17).
    flipped = mirrored(people, torch.ones(6, dtype=torch.bool))
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))
    expected = mirror @ rotvec_to_rotmat(people.rotvecs[:, 16]) @ mirror
    torch.testing.assert_close(rotvec_to_rotmat(flipped.rotvecs[:, 17]), expected)
    left_wrist = people.joints2d[:, 9] * torch.tensor([-1.0, 1]) + torch.tensor([256.0, 0])
    torch.testing.assert_close(flipped.joints2d[:, COCO_FLIP[9]], left_wrist)


def test_without_noise_the_truth_is_detected(people: RenderedSet) -> None:
    joints2d, kept = detected_keypoints(people, NO_NOISE, torch.Generator().manual_seed(0))
    assert torch.equal(joints2d, people.joints2d) and kept.all()


def test_hidden_and_outside_keypoints_are_lost_as_configured(people: RenderedSet) -> None:
    config = replace(NO_NOISE, drop_hidden=(1,) * 17, drop_outside=1)
    _, kept = detected_keypoints(people, config, torch.Generator().manual_seed(0))
    assert torch.equal(kept, ~(people.hidden | people.outside))


@pytest.fixture(scope="module")
def many() -> RenderedSet:
    """4000 people whose keypoints lie at (number, number); wrists hidden, ankles outside."""
    joints = torch.arange(17)
    return RenderedSet(
        edges=torch.zeros(4000, 1, 1, dtype=torch.uint8),
        joints2d=joints.float()[:, None].expand(4000, 17, 2),
        outside=(joints >= 15).expand(4000, 17),
        hidden=((joints == 9) | (joints == 10)).expand(4000, 17),
        rotvecs=torch.zeros(4000, 24, 3), betas=torch.zeros(4000, 10),
    )  # fmt: skip


def errors(people: RenderedSet, config: KeypointNoiseConfig) -> Tensor:
    """(N, 17, 2) px."""
    found, _ = detected_keypoints(people, config, torch.Generator().manual_seed(0))
    return found - people.joints2d


def test_noise_has_the_stated_size(many: RenderedSet) -> None:
    config = replace(NO_NOISE, deviation=4, drop_visible=(0.1,) * 17)
    joints2d, kept = detected_keypoints(many, config, torch.Generator().manual_seed(0))
    assert (joints2d - many.joints2d).std() == pytest.approx(4.0, rel=0.02)
    assert kept[:, :9].float().mean() == pytest.approx(0.9, abs=0.01)
    assert kept[:, 9:11].all() and kept[:, 15:].all()


def test_each_keypoint_has_its_own_deviation_and_losses(many: RenderedSet) -> None:
    factors = tuple(0.5 + 0.1 * joint for joint in range(17))
    rates = tuple(0.05 * joint for joint in range(17))
    config = replace(
        NO_NOISE, deviation=4, per_keypoint=factors, drop_visible=rates, drop_hidden=rates[::-1],
        hidden_scale=2, drop_outside=0.3,
    )  # fmt: skip
    joints2d, kept = detected_keypoints(many, config, torch.Generator().manual_seed(0))
    unseen = torch.ones(17)
    unseen[[9, 10, 15, 16]] = 2
    spread = (joints2d - many.joints2d).std((0, 2))
    torch.testing.assert_close(spread, 4 * torch.tensor(factors) * unseen, rtol=0.05, atol=0)
    lost = torch.tensor(rates)
    lost[9:11], lost[15:] = torch.tensor(rates[::-1])[9:11], 0.3
    torch.testing.assert_close(1 - kept.float().mean(0), lost, rtol=0, atol=0.03)


def test_a_persons_keypoints_share_a_scale(many: RenderedSet) -> None:
    config = replace(NO_NOISE, deviation=1, person_spread=0.5)
    log_scale = errors(many, config).square().mean((1, 2)).log() / 2
    # The logarithm of a mean of 34 squares varies by about 1 / sqrt(2 * 34) itself.
    assert float(log_scale.std()) == pytest.approx((0.5**2 + 1 / 68) ** 0.5, rel=0.05)
    assert float(log_scale.median()) == pytest.approx(0, abs=0.05)


def test_uniform_errors_fill_their_range(many: RenderedSet) -> None:
    found = errors(many, replace(NO_NOISE, uniform_range=6, outlier_probability=1))
    assert found.abs().max() == pytest.approx(6, abs=0.01)
    assert found.std() == pytest.approx(6 / 3**0.5, rel=0.02)


def test_exchanges_take_whole_groups(many: RenderedSet) -> None:
    everything = errors(many, replace(NO_NOISE, swap_all=1))[0, :, 0] + torch.arange(17)
    assert everything.tolist() == list(COCO_FLIP)
    shoulders = replace(NO_NOISE, swap_probability=0.25, swap_groups=((5,), (11, 13)))
    moved = errors(many, shoulders)[..., 0] != 0
    assert not moved[:, [*range(5), 7, 8, 9, 10, 15, 16]].any()
    assert torch.equal(moved[:, 5], moved[:, 6]) and torch.equal(moved[:, 11], moved[:, 14])
    assert moved[:, [5, 11]].float().mean() == pytest.approx(0.25, abs=0.02)
    assert (moved[:, 5] & moved[:, 11]).float().mean() == pytest.approx(0.0625, abs=0.02)


def test_movenets_errors_are_those_measured(many: RenderedSet) -> None:
    # Of MoveNet itself on synthetic pictures: 50, 75 and 90 per cent of the keypoints seen, px.
    measured = {0: (2.5, 4.4, 7.3), 5: (3.1, 5.1, 8.8), 13: (3.4, 5.6, 8.6)}
    distance = errors(many, MOVENET_KEYPOINT_NOISE).norm(dim=-1)
    for joint, quantiles in measured.items():
        found = torch.quantile(distance[:, joint], torch.tensor([0.5, 0.75, 0.9]))
        torch.testing.assert_close(found, torch.tensor(quantiles), rtol=0.2, atol=0)


def test_the_papers_errors_are_those_of_its_training() -> None:
    paper = load_train_config(PAPER_TRAINING)
    assert paper.data.keypoint_noise == PAPER_KEYPOINT_NOISE


def test_clothes_move_both_joints_of_a_girdle(many: RenderedSet) -> None:
    config = replace(NO_NOISE, girdles_widened=(0.4, 0.0), girdles_shifted=(0.0, 0.1))
    joints2d, _ = detected_keypoints(many, config, torch.Generator().manual_seed(0))
    true = many.joints2d
    moved = (joints2d != true).any(-1).any(0).nonzero()[:, 0].tolist()
    assert moved == [5, 6, 11, 12]
    middle = true[:, [5, 6]].mean(1)
    torch.testing.assert_close(joints2d[:, [5, 6]].mean(1), middle, rtol=0, atol=1e-3)
    wider = (joints2d[:, 5] - middle).norm(dim=-1) / (true[:, 5] - middle).norm(dim=-1) - 1
    # The square of a uniform number has the mean 1/3 and, one time in two, less than 1/4.
    assert wider.min() >= -1e-4 and wider.max() <= 0.4001
    assert wider.mean().item() == pytest.approx(0.4 / 3, abs=0.01)
    assert wider.median().item() == pytest.approx(0.4 / 4, abs=0.01)
    up = joints2d[:, [11, 12]] - true[:, [11, 12]]
    torch.testing.assert_close(up[:, 0], up[:, 1], rtol=0, atol=1e-3)
    trunk = middle - true[:, [11, 12]].mean(1)
    along = (up[:, 0] * trunk).sum(-1) / trunk.square().sum(-1)
    torch.testing.assert_close(along[:, None] * trunk, up[:, 0], rtol=0, atol=1e-2)
    assert along.std().item() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("name", ["per_keypoint", "drop_visible", "drop_hidden"])
def test_a_number_for_every_keypoint(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must have 17 numbers, got 2"):
        KeypointNoiseConfig(**{name: (1.0, 1.0)})
    with pytest.raises(ValueError, match="girdles_widened must have 2 numbers, got 1"):
        KeypointNoiseConfig(girdles_widened=(0.3,))
