from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.picture.heatmaps import Rounding
from tests.oracles.heatmaps import heatmaps_to_joints2d, joints2d_to_heatmaps


def test_heatmaps_of_the_original(golden: Path) -> None:
    arrays = np.load(golden / "d_crop.npz")
    heatmaps = joints2d_to_heatmaps(torch.from_numpy(arrays["hm_joints"]), size=64)
    np.testing.assert_allclose(heatmaps, arrays["hm_torch"], atol=1e-6)


@pytest.mark.parametrize(
    ("rounding", "name"), [("round", "hm_np_round"), ("truncate", "hm_np_trunc")]
)
def test_snapped_heatmaps_of_the_original(golden: Path, rounding: Rounding, name: str) -> None:
    arrays = np.load(golden / "d_crop.npz")
    joints = torch.from_numpy(arrays["hm_joints"])
    heatmaps = joints2d_to_heatmaps(joints, size=64, rounding=rounding)
    np.testing.assert_allclose(heatmaps[0].permute(1, 2, 0), arrays[name], atol=1e-6)


def test_positions_of_the_original(golden: Path) -> None:
    arrays = np.load(golden / "d_crop.npz")
    joints, found = heatmaps_to_joints2d(torch.from_numpy(arrays["hm_torch"]))
    np.testing.assert_array_equal(joints, arrays["hm_back"])
    np.testing.assert_array_equal(found, arrays["hm_back_vis"])


def test_peak_and_falloff() -> None:
    heatmap = joints2d_to_heatmaps(torch.tensor([[10.0, 20.0]]), size=32, std=4.0)[0]
    assert heatmap[20, 10] == 1.0  # row is y, column is x
    # One deviation to the right: exp(-1/2); 3 right and 4 down: exp(-25/32).
    assert heatmap[20, 14].item() == pytest.approx(np.exp(-0.5))
    assert heatmap[24, 13].item() == pytest.approx(np.exp(-25 / 32))


def test_there_and_back() -> None:
    generator = torch.Generator().manual_seed(0)
    joints = torch.randint(0, 64, (3, 17, 2), generator=generator).float()
    back, found = heatmaps_to_joints2d(joints2d_to_heatmaps(joints, size=64))
    assert torch.equal(back, joints) and found.all()


def test_empty_heatmap_has_no_position() -> None:
    joints, found = heatmaps_to_joints2d(torch.zeros(1, 2, 8, 8))
    assert (joints == -1).all() and not found.any()


def test_first_of_equal_maxima_wins() -> None:
    heatmap = torch.zeros(1, 4, 5)
    heatmap[0, 1, 3] = heatmap[0, 2, 0] = 0.5
    assert heatmaps_to_joints2d(heatmap)[0].tolist() == [[3.0, 1.0]]


def test_invisible_joints_are_zero_even_without_a_position() -> None:
    joints = torch.tensor([[5.0, 5.0], [torch.nan, 5.0]])
    heatmaps = joints2d_to_heatmaps(joints, size=16, visible=torch.tensor([True, False]))
    assert heatmaps[0].max() == 1.0 and (heatmaps[1] == 0).all()


def test_unknown_rounding_is_refused() -> None:
    with pytest.raises(ValueError, match="'floor'"):
        joints2d_to_heatmaps(torch.zeros(1, 2), rounding="floor")  # type: ignore[arg-type]
