from __future__ import annotations

import dataclasses

import pytest
import torch

from hierprob3d.configs.training_phases import LossWeights
from hierprob3d.training.learning.batch_parts import (
    batch_parts,
    check_batch,
    share_of_loss,
    sum_of_shares,
)
from hierprob3d.training.learning.losses import LossTerms


def test_parts_cover_the_batch_and_draw_apart() -> None:
    visible = torch.ones(7, 17, dtype=torch.bool)
    parts = batch_parts(visible, 3)
    assert [len(range(7)[part.rows]) for part in parts] == [2, 2, 3]
    assert sum(part.people_share for part in parts) == pytest.approx(1)
    first = torch.Generator().manual_seed(5)
    generators = [part.generator(first) for part in parts]
    assert generators[0] is first
    draws = [torch.rand(3, generator=generator) for generator in generators]
    assert not torch.equal(draws[1], draws[2])
    assert torch.equal(torch.rand(3, generator=parts[1].generator(first)), draws[1])


def test_a_part_without_visible_keypoints_adds_nothing_to_their_loss() -> None:
    visible = torch.zeros(4, 17, dtype=torch.bool)
    visible[0, :3] = True
    parts = batch_parts(visible, 2)
    assert [part.keypoint_share.item() for part in parts] == [1.0, 0.0]
    weights = LossWeights(joints2d=10.0)
    zero = torch.tensor(0.0)
    names = [field.name for field in dataclasses.fields(LossTerms)]
    first = LossTerms(**{**dict.fromkeys(names, zero), "joints2d": torch.tensor(3.0),
                         "pose": torch.tensor(2.0), "total": torch.tensor(32.0)})  # fmt: skip
    second = LossTerms(**{**dict.fromkeys(names, zero), "pose": torch.tensor(4.0),
                          "total": torch.tensor(4.0)})  # fmt: skip
    shares = [share_of_loss(t, weights, p) for t, p in zip((first, second), parts, strict=True)]
    together = sum_of_shares(shares)
    assert together.pose == 3.0 and together.joints2d == 3.0
    assert together.total == 10.0 * 3.0 + (2.0 + 4.0) / 2


def test_a_batch_too_small_for_its_parts_is_refused() -> None:
    check_batch(12, num_ranks=3, accumulate=2)
    with pytest.raises(ValueError, match="batch_size=11 is too small for 3 processes"):
        check_batch(11, num_ranks=3, accumulate=2)
