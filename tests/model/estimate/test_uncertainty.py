"""Per-vertex spread and fit of samples: literals, and the original's recorded predictions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.uncertainty import fit_to_keypoints, order_by_fit, sample_spread
from hierprob3d.model.picture.cameras import (
    half_turn_x,
    normalised_to_pixels,
    project_weak_perspective,
)
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher


def test_spread_is_the_mean_distance_to_the_mean() -> None:
    # Mean (0, 0, 0) and distances 3, 3, 0: the mean distance is 2, not the deviation 6**0.5.
    samples = torch.tensor([[3.0, 0, 0], [-3.0, 0, 0], [0.0, 0, 0]])[None, :, None]
    torch.testing.assert_close(sample_spread(samples + 7.0), torch.tensor([[2.0]]))


def test_spread_of_one_sample_is_zero_and_people_are_apart() -> None:
    samples = torch.randn(3, 4, 10, 3, generator=torch.Generator().manual_seed(0))
    apart = torch.cat([sample_spread(samples[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(sample_spread(samples), apart)
    assert sample_spread(samples[:, :1]).abs().max() == 0


def test_fit_uses_visible_keypoints_only() -> None:
    samples = torch.zeros(1, 2, 3, 2)
    keypoints = torch.tensor([[[3.0, 4.0], [0.0, 1.0], [1000.0, 0.0]]])
    samples[0, 1, 0] = torch.tensor([3.0, 4.0])
    visible = torch.tensor([[True, True, False]])
    torch.testing.assert_close(
        fit_to_keypoints(samples, keypoints, visible), torch.tensor([[5.0, 1.0]])
    )
    torch.testing.assert_close(
        fit_to_keypoints(samples, keypoints, visible, "mean"), torch.tensor([[3.0, 0.5]])
    )
    with pytest.raises(ValueError, match="median"):
        fit_to_keypoints(samples, keypoints, visible, "median")  # type: ignore[arg-type]


def test_order_is_ascending_and_stable() -> None:
    assert order_by_fit(torch.tensor([[2.0, 1.0, 2.0, 0.5]])).tolist() == [[3, 1, 0, 2]]
    nothing_visible = fit_to_keypoints(
        torch.rand(1, 3, 2, 2), torch.zeros(1, 2, 2), torch.zeros(1, 2, dtype=torch.bool)
    )
    assert nothing_visible.isnan().all()
    assert order_by_fit(nothing_visible).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("person", [0, 1, 2])
def test_samples_are_ordered_as_in_the_original(golden: Path, person: int) -> None:
    with np.load(golden / "i_predict.npz") as archive, np.load(golden / "k_misc_smpl.npz") as misc:
        stored = {
            name: torch.from_numpy(archive[f"{person}_{name}"])
            for name in (
                "sample_joints50_seeded", "sample_verts_every50", "sorted_every50", "cam",
                "proxy_joints2D", "proxy_visible",
            )
        }  # fmt: skip
        coco_map = misc["coco_map"]
    joints = stored["sample_joints50_seeded"][None, :, coco_map]
    camera = stored["cam"][:, None]
    projected = normalised_to_pixels(project_weak_perspective(half_turn_x(joints), camera), 256)
    # The original reads the keypoints back from the heatmaps, that is rounded to whole pixels.
    keypoints = stored["proxy_joints2D"].round()
    fit = fit_to_keypoints(projected, keypoints, stored["proxy_visible"][None])
    drawn, ordered = stored["sample_verts_every50"], stored["sorted_every50"]
    theirs = torch.cdist(ordered.flatten(1), drawn.flatten(1)).argmin(dim=1)
    assert theirs.sort().values.tolist() == list(range(50))
    # Fits are compared, not numbers: samples whose worst keypoint does not move are tied.
    torch.testing.assert_close(fit[0, theirs], fit[0, order_by_fit(fit)[0]], atol=1e-3, rtol=0)


@pytest.mark.parametrize("person", [0, 1, 2])
def test_spread_of_many_samples_as_the_original(
    golden: Path, golden_smpl: Path, person: int
) -> None:
    with np.load(golden / "i_predict.npz") as archive:
        F, betas, turn, expected, expected_with_shape, shape_std = (
            torch.from_numpy(archive[f"{person}_{name}"])
            for name in ("F", "shape_loc", "glob_rotmats", "unc4000", "unc1000_with_shape",
                         "shape_scale")
        )  # fmt: skip
    body, generator = load_body(golden_smpl), torch.Generator().manual_seed(person)
    poses = MatrixFisher(F).sample((2000,), generator=generator).transpose(0, 1)
    with torch.no_grad():
        mean_shape = body.shape(betas)
        blocks = [body.pose(mean_shape, block, turn)[0][:, :, ::7] for block in poses.split(250, 1)]
        shapes = betas + shape_std * torch.randn(1000, 10, generator=generator)
        shaped, _ = body(shapes, poses[0, :1000], turn.expand(1000, 3, 3))
    # A 50-sample estimate deviates by 5 % per vertex on average, hence one of 2000 by 0.8 % and
    # one of 1000 by 1.1 %; vertices of one limb deviate together, so the mean hardly less.
    ratio = sample_spread(torch.cat(blocks, dim=1))[0] / expected[::7]
    assert abs(float(ratio.mean()) - 1) < 0.02
    assert float((ratio - 1).abs().mean()) < 0.03
    with_shape = sample_spread(shaped[None])[0] / expected_with_shape
    assert abs(float(with_shape.mean()) - 1) < 0.04


def test_spread_of_a_hinge_is_the_closed_form() -> None:
    # Points at radius 1 and angles +-t about their mean direction: distance to the mean is sin t.
    angle = torch.tensor([0.4, -0.4], dtype=torch.float64)
    samples = torch.stack([angle.cos(), angle.sin(), torch.zeros(2)], dim=-1)[None, :, None]
    spread = sample_spread(samples)
    torch.testing.assert_close(spread, torch.tensor([[math.sin(0.4)]], dtype=torch.float64))


def test_spread_about_a_mean_that_is_not_the_origin() -> None:
    points = torch.tensor([[[[0.0, 0.0, 0.0]], [[2.0, 0.0, 0.0]], [[1.0, 3.0, 0.0]]]])
    expected = (2 * math.sqrt(2) + 2) / 3  # the mean is (1, 1, 0)
    assert sample_spread(points).item() == pytest.approx(expected)
