from __future__ import annotations

import pytest
import torch

from hierprob3d.model.network.lift_input import NUM_INPUTS, LiftInput


@pytest.fixture()
def seen() -> LiftInput:
    generator = torch.Generator().manual_seed(0)
    keypoints, landmarks = (
        torch.rand(3, num, size, generator=generator) for num, size in ((17, 3), (33, 5))
    )
    keypoints[..., :2] = 60 + 130 * keypoints[..., :2]
    landmarks[..., :3] = 60 + 130 * landmarks[..., :3]
    keypoints[..., 2] = 0.2 + 0.7 * keypoints[..., 2]
    return LiftInput(keypoints, landmarks)


def test_where_and_how_large_a_person_is_stands_apart_from_the_rest(seen: LiftInput) -> None:
    moved = LiftInput(seen.keypoints.clone(), seen.landmarks.clone())
    for points in (moved.keypoints, moved.landmarks):
        points[..., :2] = points[..., :2] * 0.5 + torch.tensor([40.0, 20.0])
    moved.landmarks[..., 2] *= 0.5
    (numbers, frame), (others, other_frame) = seen.numbers(), moved.numbers()
    assert numbers.shape == (3, NUM_INPUTS)
    torch.testing.assert_close(others[:, :-3], numbers[:, :-3], atol=1e-4, rtol=0)
    torch.testing.assert_close(other_frame.size, frame.size / 2)
    assert (others[:, -3:] - numbers[:, -3:]).abs().min() > 1e-3


def test_what_is_absent_does_not_count(seen: LiftInput) -> None:
    seen.keypoints[0] = torch.nan
    seen.keypoints[1, :, 2] = 0.05  # noise
    seen.landmarks[2] = torch.nan
    numbers, frame = seen.numbers()
    assert numbers.isfinite().all()
    assert not numbers[:2, : 4 * 17].any()
    assert not numbers[2, 4 * 17 : -3].any()
    elsewhere = LiftInput(seen.keypoints.clone(), seen.landmarks)
    elsewhere.keypoints[1, :, :2] += 100
    torch.testing.assert_close(elsewhere.numbers()[0][1], numbers[1])
    assert elsewhere.numbers()[1].centre[1].tolist() == frame.centre[1].tolist()


def test_nobody_seen_at_all_is_still_a_number() -> None:
    numbers, frame = LiftInput.of_keypoints(torch.full((1, 17, 3), torch.nan)).numbers()
    assert numbers.isfinite().all() and frame.size.item() > 0


def test_the_mirror_image_of_the_mirror_image_is_the_person(seen: LiftInput) -> None:
    image = seen.mirrored()
    assert image.keypoints[0, 5, 0] == 256 - seen.keypoints[0, 6, 0]
    assert image.landmarks[0, 31, 2] == seen.landmarks[0, 32, 2]
    again = image.mirrored()
    torch.testing.assert_close(again.keypoints, seen.keypoints)
    torch.testing.assert_close(again.landmarks, seen.landmarks)
