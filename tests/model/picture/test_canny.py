from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.model.picture.canny import CannyEdgeDetector, gaussian_weights


def _picture(golden: Path, index: int) -> tuple[dict[str, np.ndarray], Tensor]:
    arrays = np.load(golden / "c_canny.npz")
    mine = {key[2:]: arrays[key] for key in arrays.files if key.startswith(f"{index}_")}
    rgb = torch.from_numpy(mine["rgb_uint8"]).permute(2, 0, 1)[None].float() / 255.0
    return mine, rgb


@pytest.mark.parametrize("index", [0, 1])
def test_all_maps_of_the_original(golden: Path, index: int) -> None:
    expected, rgb = _picture(golden, index)
    maps = CannyEdgeDetector(threshold=0.0)(rgb)
    np.testing.assert_allclose(maps["blurred_img"], expected["blurred_f16"], atol=5e-4)
    np.testing.assert_allclose(maps["grad_magnitude"], expected["grad_magnitude"], atol=5e-6)
    turned = maps["grad_orientation"].numpy() != expected["grad_orientation"]
    assert turned.sum() <= (10, 223)[index]  # ties, by the golden README
    _assert_edges(maps["thresholded_thin_edges"], expected["thin_edges"], expected)
    assert torch.equal(maps["thin_edges"], maps["thresholded_thin_edges"])


@pytest.mark.parametrize("index", [0, 1])
def test_edges_of_the_original(golden: Path, index: int) -> None:
    expected, rgb = _picture(golden, index)
    _assert_edges(CannyEdgeDetector(threshold=0.0).edges(rgb), expected["thin_edges"], expected)
    with_threshold = CannyEdgeDetector(threshold=0.2).edges(rgb)
    _assert_edges(with_threshold, expected["thr02_thresholded_thin_edges"], expected)
    thick = CannyEdgeDetector(False, 1.5, 7, 0.1).edges(rgb)
    _assert_edges(thick, expected["nonms_s15_k7_t01_thresholded_grad"], expected)


def _assert_edges(edges: Tensor, golden_edges: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    wrong = np.abs(edges.numpy() - golden_edges)[0, 0] > 5e-6
    fragile = arrays["fragile_mask"]
    assert not wrong[~fragile].any()
    assert wrong[fragile].sum() <= 4


def test_edge_of_a_step_lies_between_dark_and_bright() -> None:
    # Bright from column 12 on: the blurred step is steepest between columns 11 and 12.
    rgb = torch.zeros(1, 3, 24, 24)
    rgb[..., 12:] = 1.0
    maps = CannyEdgeDetector(threshold=0.5)(rgb)
    rows, columns = slice(6, 18), slice(6, 18)  # clear of the frame that zero padding draws
    edges = maps["thresholded_thin_edges"][0, 0, rows, columns]
    assert set(edges.nonzero()[:, 1].tolist()) <= {11 - 6, 12 - 6}
    # Brightness grows along +x: 0 degrees, which rounding may also call 360.
    direction = maps["grad_orientation"][0, 0, rows, 11:13] % 360
    assert (direction == 0).all()


def test_zero_padding_draws_a_frame_around_bright_pictures() -> None:
    edges = CannyEdgeDetector(threshold=0.5).edges(torch.ones(1, 3, 32, 32))
    assert (edges[0, 0, 0, 4:-4] > 0).all() and (edges[0, 0, 4:-4, -1] > 0).all()
    assert (edges[0, 0, 4:-4, 4:-4] == 0).all()


def test_thinning_keeps_maxima_along_each_axis() -> None:
    detector = CannyEdgeDetector(threshold=0.0)
    generator = torch.Generator().manual_seed(0)
    maps = detector(torch.rand(1, 3, 40, 40, generator=generator))
    strength, thin = maps["grad_magnitude"][0, 0], maps["thin_edges"][0, 0]
    axis = (maps["grad_orientation"][0, 0] / 45).long() % 4
    step = {0: (0, 1), 1: (1, 1), 2: (1, 0), 3: (1, -1)}  # (down, right), y points down
    for y, x in [(7, 9), (20, 20), (13, 31), (30, 5), (25, 14)]:
        down, right = step[int(axis[y, x])]
        peak = strength[y, x] > max(strength[y + down, x + right], strength[y - down, x - right])
        assert (thin[y, x] > 0) == peak


def test_batch_and_single_pictures_agree() -> None:
    detector = CannyEdgeDetector(threshold=0.0)
    rgb = torch.rand(3, 3, 20, 28, generator=torch.Generator().manual_seed(1))
    alone = torch.cat([detector.edges(picture[None]) for picture in rgb])
    assert torch.equal(detector.edges(rgb), alone)


def test_a_poisoned_picture_leaves_the_others_alone() -> None:
    detector = CannyEdgeDetector(threshold=0.0)
    rgb = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    clean = detector.edges(rgb)[1]
    rgb[0] = torch.nan
    assert torch.equal(detector.edges(rgb)[1], clean)


def test_gaussian_weights_are_a_normalised_gaussian() -> None:
    # exp(0), exp(-1/2), exp(-2) over their symmetric sum.
    weights = gaussian_weights(5, 1.0)
    assert sum(weights) == pytest.approx(1.0)
    assert weights[1] / weights[2] == pytest.approx(np.exp(-0.5))
    assert weights[0] / weights[2] == pytest.approx(np.exp(-2.0))


def test_wrong_filters_are_refused() -> None:
    with pytest.raises(ValueError, match="must be odd, got 4"):
        CannyEdgeDetector(gaussian_filter_size=4)
    with pytest.raises(ValueError, match="must be positive"):
        CannyEdgeDetector(gaussian_filter_std=0.0)
