"""Samples that intersect are drawn again, the others stay, and all from the seed alone."""

from __future__ import annotations

import pytest
import torch

from hierprob3d.model.estimate import intersecting_samples
from hierprob3d.model.estimate.body_samples import PersonParameters, Samples, draw_samples
from hierprob3d.model.estimate.intersecting_samples import (
    Redrawn,
    intersects,
    redraw_intersecting,
)
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat


def people(num: int, concentration: float, pose: torch.Tensor | None = None) -> PersonParameters:
    """People whose poses vary that much about one, the T-pose unless given."""
    mode = torch.eye(3).expand(23, 3, 3) if pose is None else pose
    mode = mode.expand(num, 23, 3, 3)
    return PersonParameters(
        pose_F=concentration * mode, pose_mode=mode, shape_mean=torch.zeros(num, 10),
        shape_std=torch.ones(num, 10), global_rotmat=torch.eye(3).expand(num, 3, 3),
        camera=torch.ones(num, 3), crop=torch.ones(num, 3),
    )  # fmt: skip


def streams(*numbers: int) -> RandomStreams:
    return RandomStreams(person_keys(0, [f"item {n}" for n in numbers], [0] * len(numbers)))


def redrawn(some: PersonParameters, source: RandomStreams, num: int) -> tuple[Samples, Redrawn]:
    first = draw_samples(some, source, num)
    return first, redraw_intersecting(first, some, source)


def test_what_intersects_is_drawn_again_and_nothing_else_changes() -> None:
    first, (samples, at_first, left) = redrawn(people(3, 4.0), streams(0, 1, 2), 40)
    was = intersects(first.pose)
    assert torch.equal(at_first, was)
    assert was.sum() > 10 and not left.any() and not intersects(samples.pose).any()
    assert torch.equal(samples.pose[~was], first.pose[~was])
    assert torch.equal(samples.betas, first.betas)
    assert torch.equal(samples.global_rotmat, first.global_rotmat)
    again = samples.pose[was]
    assert (again - first.pose[was]).flatten(1).abs().amax(1).min() > 1e-3
    distances = torch.cdist(again.flatten(1), again.flatten(1)).fill_diagonal_(1)
    assert distances.min() > 1e-2, "each has draws of its own"


def test_a_draw_depends_on_its_person_and_number_alone() -> None:
    _, (together, _, _) = redrawn(people(3, 4.0), streams(0, 1, 2), 40)
    _, (alone, _, _) = redrawn(people(1, 4.0), streams(1), 25)
    torch.testing.assert_close(together.pose[1, :25], alone.pose[0], atol=1e-6, rtol=0)


def test_what_is_left_after_all_rounds_stays_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rotvec = torch.zeros(23, 3)
    rotvec[0, 2], rotvec[1, 2] = -0.35, 0.35  # legs that cross through each other
    sure = people(1, 3000.0, rotvec_to_rotmat(rotvec))
    counted = []
    found = intersecting_samples.intersects
    monkeypatch.setattr(
        intersecting_samples, "intersects", lambda pose: counted.append(1) or found(pose)
    )
    _, (samples, at_first, left) = redrawn(sure, streams(0), 5)
    assert at_first.all() and left.all() and intersects(samples.pose).all()
    assert len(counted) == 1 + intersecting_samples.NUM_REDRAWS
