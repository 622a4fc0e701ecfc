from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hierprob3d.configs.synthetic_people import BackgroundConfig, HalvesConfig, SynthesisConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.people.posed_people import random_betas
from hierprob3d.training.people.synthetic_pictures import SyntheticBatch, SyntheticPeople, blur_taps
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import Draws, seeded_generator

PLAIN = SynthesisConfig(
    extreme_crop_probability=0, truncation_probability=0, occluder_probability=0,
    channel_noise=0, pixel_noise=0, max_blur=0, ambient=(1, 1),
)  # fmt: skip
"""Without objects, noise and blur; nothing of the body is black."""


class Flat(Backgrounds):
    """Black, so that every other pixel is a person."""

    def sample(self, draws: Draws, num: int, size: int) -> Tensor:
        return torch.zeros(num, size, size, 3)


@pytest.fixture(scope="module")
def people(pose_file: Path) -> SyntheticPeople:
    backgrounds = Backgrounds(None, BackgroundConfig(num_drawn=8))
    return SyntheticPeople(load_body("open"), PoseSampler(pose_file), backgrounds)


@pytest.fixture(scope="module")
def batch(people: SyntheticPeople) -> SyntheticBatch:
    return people.sample(seeded_generator("cpu", 0), 16)


def on_black(people: SyntheticPeople, config: SynthesisConfig, num: int) -> SyntheticBatch:
    flat = Flat(None, BackgroundConfig(num_drawn=1))
    return SyntheticPeople(people.body, people.poses, flat, config).sample(
        seeded_generator("cpu", 2), num
    )


def at_keypoints(pictures: Tensor, joints2d: Tensor) -> Tensor:
    """Values (B, 17) of (B, 256, 256) at keypoints that lie within."""
    column, row = joints2d.long().clamp(0, 255).unbind(-1)
    return pictures[torch.arange(len(pictures))[:, None], row, column]


def test_pictures_are_pictures(batch: SyntheticBatch) -> None:
    assert batch.rgb.shape == (16, 3, 256, 256)
    assert batch.rgb.min() >= 0 and batch.rgb.max() <= 1
    # The 3:4 content stands in the middle columns; the bars beside it are black.
    assert (batch.rgb[..., :32] == 0).all() and (batch.rgb[..., 224:] == 0).all()
    assert (batch.rgb[..., 32:224].std(dim=(1, 2, 3)) > 0.02).all()


def test_same_generator_same_pictures(people: SyntheticPeople) -> None:
    first, again = (people.sample(seeded_generator("cpu", 3), 2) for _ in range(2))
    assert torch.equal(first.rgb, again.rgb) and torch.equal(first.joints2d, again.joints2d)


def test_people_are_upright_and_left_is_on_their_left(people: SyntheticPeople) -> None:
    config = SynthesisConfig(extreme_crop_probability=0, truncation_probability=0)
    upright = SyntheticPeople(people.body, people.poses, people.backgrounds, config)
    batch = upright.sample(seeded_generator("cpu", 1), 40)
    nose, ankles = batch.joints2d[:, 0], batch.joints2d[:, 15:].mean(1)
    assert (nose[:, 1] < ankles[:, 1]).all()  # y points down
    # Facing us (nose not hidden by the head), the left shoulder is on the picture's right.
    facing = ~batch.hidden[:, 0] & ~batch.hidden[:, 1] & ~batch.hidden[:, 2]
    shoulders = batch.joints2d[facing, 5, 0] - batch.joints2d[facing, 6, 0]
    assert facing.sum() > 5 and (shoulders > -8).float().mean() > 0.9


def test_people_are_drawn_where_their_keypoints_and_silhouettes_are(
    people: SyntheticPeople,
) -> None:
    batch = on_black(people, PLAIN, 8)
    drawn = batch.rgb.sum(1) > 0
    assert at_keypoints(drawn, batch.joints2d)[:, 11:13].all()  # the hips
    content = torch.zeros(256, dtype=torch.bool)
    content[32:224] = True
    assert torch.equal(drawn, batch.silhouette & content)


def test_the_background_shows_in_place_of_missing_halves(people: SyntheticPeople) -> None:
    lost = dataclasses.replace(PLAIN, missing_halves=HalvesConfig(bottom=1.0))
    whole, batch = on_black(people, PLAIN, 6), on_black(people, lost, 6)
    drawn = batch.rgb.sum(1) > 0
    assert not drawn[:, 180:].any() and drawn[:, :76].sum() == (whole.rgb.sum(1) > 0)[:, :76].sum()
    below = batch.joints2d[..., 1] > 256 * 0.7
    assert below.sum() > 6 and batch.hidden[below & ~batch.outside].all()
    assert torch.equal(batch.silhouette, whole.silhouette)


def test_keypoints_in_black_halves_are_outside(people: SyntheticPeople) -> None:
    config = dataclasses.replace(PLAIN, black_halves=HalvesConfig(top=1.0))
    batch = on_black(people, config, 6)
    assert (batch.rgb[:, :, :76] == 0).all()
    assert batch.outside[batch.joints2d[..., 1] < 256 * 0.3].all()
    assert not batch.hidden[batch.outside].any()


def test_a_missing_hand_is_not_drawn(people: SyntheticPeople) -> None:
    parts = [0.0] * 24
    parts[2] = parts[3] = 1.0  # both hands
    config = dataclasses.replace(PLAIN, missing_parts=tuple(parts), missing_part_hides=1.0)
    whole, batch = on_black(people, PLAIN, 8), on_black(people, config, 8)
    gone = (whole.rgb.sum(1) > 0) & (batch.rgb.sum(1) == 0)
    assert 50 < gone.sum() / 8 < 2000
    assert (batch.hidden | batch.outside)[:, 9:11].all()  # the wrists
    others = [0, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16]
    assert torch.equal(batch.hidden[:, others], whole.hidden[:, others])


def test_hidden_by_the_paper_s_rule_are_limbs_of_which_little_is_seen(
    people: SyntheticPeople,
) -> None:
    deep = on_black(people, PLAIN, 16)
    by_parts = on_black(people, dataclasses.replace(PLAIN, hidden_rule="parts"), 16)
    always = [0, 1, 2, 3, 4, 5, 6, 11, 12]
    assert deep.hidden[:, always].any() and not by_parts.hidden[:, always].any()


def test_betas_stay_plausible() -> None:
    betas = random_betas(Draws(seeded_generator("cpu", 0)), 5000, SynthesisConfig())
    assert betas.abs().max() <= 2.5 and betas[:, 1].min() >= -2.0
    assert 1.0 < betas[:, 0].std() < 1.25


def test_blur_weights_sum_to_one() -> None:
    centre, side = blur_taps(torch.tensor([0.0, 0.5, 3.0]))
    torch.testing.assert_close(centre + 2 * side, torch.ones(3))
    assert centre[0] == 1 and side[1] == pytest.approx(0.125)
