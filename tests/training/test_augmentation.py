from __future__ import annotations

import pytest
import torch

from configs.training import KeypointNoiseConfig
from model.heatmaps import joints2d_to_heatmaps
from model.rotations import rotvec_to_rotmat
from model.skeleton import COCO_FLIP
from training.augmentation import detected_keypoints, mirrored, network_input
from training.rendered_set import EDGE_STEP, RenderedSet

NO_NOISE = KeypointNoiseConfig(
    deviation=0, outlier_probability=0, swap_probability=0, drop_visible=0, drop_hidden=0,
    drop_outside=0, drop_limbs=0,
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


def test_the_network_input_is_the_pooled_proxy(people: RenderedSet) -> None:
    kept = torch.rand(6, 17) < 0.7
    heatmaps = joints2d_to_heatmaps(people.joints2d) * kept[..., None, None]
    pooled = torch.nn.functional.avg_pool2d(heatmaps, 2)
    proxy = network_input(people, people.joints2d, kept, 2, torch.float32)
    assert proxy.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(proxy[:, 1:], pooled, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(proxy[:, 0], people.edges.float() * EDGE_STEP)
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
    config = KeypointNoiseConfig(
        drop_visible=0, drop_hidden=1, drop_outside=1, drop_limbs=0, swap_probability=0
    )
    _, kept = detected_keypoints(people, config, torch.Generator().manual_seed(0))
    assert torch.equal(kept, ~(people.hidden | people.outside))


def test_noise_has_the_stated_size() -> None:
    many = RenderedSet(
        edges=torch.zeros(4000, 1, 1, dtype=torch.uint8), joints2d=torch.zeros(4000, 17, 2),
        outside=torch.zeros(4000, 17).bool(), hidden=torch.zeros(4000, 17).bool(),
        rotvecs=torch.zeros(4000, 24, 3), betas=torch.zeros(4000, 10),
    )  # fmt: skip
    config = KeypointNoiseConfig(deviation=4, outlier_probability=0, drop_visible=0.1, drop_limbs=0)
    joints2d, kept = detected_keypoints(many, config, torch.Generator().manual_seed(0))
    assert joints2d.std() == pytest.approx(4.0, rel=0.02)
    assert kept.float().mean() == pytest.approx(0.9, abs=0.01)
