from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from configs.training import SynthesisConfig
from model.body import load_body
from training.backgrounds import Backgrounds
from training.poses import PoseSampler
from training.synthetic import SyntheticBatch, SyntheticPeople, blur_taps, random_betas


@pytest.fixture(scope="module")
def people(pose_file: Path) -> SyntheticPeople:
    return SyntheticPeople(load_body("open"), PoseSampler(pose_file), Backgrounds(None))


@pytest.fixture(scope="module")
def batch(people: SyntheticPeople) -> SyntheticBatch:
    return people.sample(np.random.default_rng(0), 16)


def test_pictures_are_pictures(batch: SyntheticBatch) -> None:
    assert batch.rgb.shape == (16, 3, 256, 256)
    assert batch.rgb.min() >= 0 and batch.rgb.max() <= 1
    # The 3:4 content stands in the middle columns; the bars beside it are black.
    assert (batch.rgb[..., :32] == 0).all() and (batch.rgb[..., 224:] == 0).all()
    assert (batch.rgb[..., 32:224].std(dim=(1, 2, 3)) > 0.02).all()


def test_same_generator_same_pictures(people: SyntheticPeople) -> None:
    first = people.sample(np.random.default_rng(3), 2)
    again = people.sample(np.random.default_rng(3), 2)
    assert torch.equal(first.rgb, again.rgb) and torch.equal(first.joints2d, again.joints2d)


def test_people_are_upright_and_left_is_on_their_left(people: SyntheticPeople) -> None:
    config = SynthesisConfig(extreme_crop_probability=0, truncation_probability=0)
    upright = SyntheticPeople(people.body, people.poses, people.backgrounds, config)
    batch = upright.sample(np.random.default_rng(1), 64)
    nose, ankles = batch.joints2d[:, 0], batch.joints2d[:, 15:].mean(1)
    assert (nose[:, 1] < ankles[:, 1]).all()  # y points down
    # Facing us (nose not hidden by the head), the left shoulder is on the picture's right.
    facing = ~batch.hidden[:, 0] & ~batch.hidden[:, 1] & ~batch.hidden[:, 2]
    shoulders = batch.joints2d[facing, 5, 0] - batch.joints2d[facing, 6, 0]
    assert facing.sum() > 5 and (shoulders > -8).float().mean() > 0.9


def test_keypoints_lie_on_the_person(people: SyntheticPeople) -> None:
    # Without texture, light and noise, people are drawn on black, so a seen joint is not black.
    config = SynthesisConfig(
        extreme_crop_probability=0, truncation_probability=0, occluder_probability=0,
        channel_noise=0, pixel_noise=0, max_blur=0, ambient=(1, 1),
    )  # fmt: skip

    class Black(Backgrounds):
        def sample(self, rng: np.random.Generator, num: int, size: int) -> np.ndarray:
            return np.zeros((num, size, size, 3), np.uint8)

    batch = SyntheticPeople(people.body, people.poses, Black(None), config).sample(
        np.random.default_rng(2), 8
    )
    hips = batch.joints2d[:, 11:13].long()
    index = torch.arange(8)[:, None]
    assert (batch.rgb.sum(1)[index, hips[..., 1], hips[..., 0]] > 0).all()


def test_betas_stay_plausible() -> None:
    betas = random_betas(np.random.default_rng(0), 5000, SynthesisConfig())
    assert np.abs(betas).max() <= 2.5 and betas[:, 1].min() >= -2.0
    assert 1.0 < betas[:, 0].std() < 1.25


def test_blur_weights_sum_to_one() -> None:
    centre, side = blur_taps(torch.tensor([0.0, 0.5, 3.0]))
    torch.testing.assert_close(centre + 2 * side, torch.ones(3))
    assert centre[0] == 1 and side[1] == pytest.approx(0.125)


def test_photographs_become_backgrounds(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no readable photograph"):
        Backgrounds(tmp_path)
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((300, 400, 3), (0, 0, 200), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    drawn = Backgrounds(tmp_path, drawn_share=0).sample(np.random.default_rng(0), 3, 64)
    assert drawn.shape == (3, 64, 64, 3)
    assert (drawn[..., 0] > 100).all() and (drawn[..., 1:] == 0).all()  # red, whatever the gain
