"""Measurements: simple solids by formula, plausible people, and spread against sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from hierprob3d.model.body.measurements import BodyMeasurer, slice_girths
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.body.skeleton import MEASUREMENT_NAMES


def test_names_and_order() -> None:
    girths = ("chest_girth_m", "waist_girth_m", "hip_girth_m")
    assert MEASUREMENT_NAMES == ("height_m", *girths, "weight_kg")


def test_girth_of_a_square_prism_and_of_an_elliptic_cone() -> None:
    square = torch.tensor([[1.0, 0, 1], [1, 0, -1], [-1, 0, -1], [-1, 0, 1]])
    prism = torch.cat([square, square + torch.tensor([0.0, 2.0, 0.0])]) * 0.2
    edges = torch.tensor([[0, 4], [1, 5], [2, 6], [3, 7]])
    girths = slice_girths(prism[None], edges, torch.tensor([[0.1, 0.3]]))
    torch.testing.assert_close(girths, torch.full((1, 2), 1.6), rtol=1e-3, atol=0)  # 4 x 0.4

    angles = torch.arange(200) * (2 * math.pi / 200)
    rim = torch.stack([0.3 * angles.cos(), torch.zeros(200), 0.3 * angles.sin()], dim=-1)
    cone = torch.cat([rim, torch.tensor([[0.0, 1.0, 0.0]])])
    edges = torch.stack([torch.arange(200), torch.full((200,), 200)], dim=-1)
    girth = slice_girths(cone[None], edges, torch.tensor([[0.5]]))
    assert float(girth) == pytest.approx(2 * math.pi * 0.15, rel=1e-3)


def test_a_slice_beside_the_mesh_has_no_girth() -> None:
    edges = torch.tensor([[0, 1]])
    girth = slice_girths(torch.tensor([[[0.0, 0, 0], [0.0, 1, 0]]]), edges, torch.tensor([[5.0]]))
    assert girth.isnan().all()


def test_dents_are_bridged_as_by_a_tape() -> None:
    generator = torch.Generator().manual_seed(0)
    foot = torch.rand(30, 3, generator=generator, dtype=torch.float64) * torch.tensor([1, 0, 1])
    vertices = torch.cat([foot, foot + torch.tensor([0.0, 1.0, 0.0])])[None]
    edges = torch.stack([torch.arange(30), torch.arange(30) + 30], dim=-1)
    girth = slice_girths(vertices, edges, torch.tensor([[0.5]], dtype=torch.float64))
    hull = ConvexHull(foot[:, [0, 2]].numpy()).area  # scipy calls a 2D perimeter "area"
    assert float(girth) == pytest.approx(hull, rel=1e-3)


@pytest.mark.parametrize(
    ("gender", "stature"), [("neutral", 1.705), ("male", 1.795), ("female", 1.616)]
)
def test_mean_bodies_have_the_stature_they_were_built_with(gender: str, stature: float) -> None:
    # Mean statures of the populations from the build report of OpenBody.
    measurer = BodyMeasurer(load_body("open", gender))
    height, chest, waist, hip, weight = measurer.measure(torch.zeros(1, 10))[0].tolist()
    assert height == pytest.approx(stature, abs=0.01)
    assert 0.9 < chest < 1.2 and 0.7 < waist < 0.95 and 0.95 < hip < 1.1
    assert waist < hip and waist < chest
    assert 20 < weight / height**2 < 25  # a body mass index of grown people


def test_taller_and_heavier_bodies_measure_more() -> None:
    # OpenBody's beta 0 follows stature, beta 1 the body mass index.
    measurer = BodyMeasurer(load_body("open"))
    betas = torch.zeros(3, 10)
    betas[1, 0], betas[2, 1] = 1.0, 1.0
    mean, taller, heavier = measurer.measure(betas)
    assert taller[0] - mean[0] > 0.1
    assert (heavier[1:] - mean[1:] > 0.05).all() and abs(float(heavier[0] - mean[0])) < 0.03


@pytest.mark.parametrize("gender", ["neutral", "male"])
def test_spread_agrees_with_sampled_shapes(gender: str) -> None:
    generator = torch.Generator().manual_seed(3)
    measurer = BodyMeasurer(load_body("open", gender))
    mean = torch.randn(2, 10, generator=generator) * 0.5
    std = torch.rand(2, 10, generator=generator) * 0.4 + 0.1
    values, spread = measurer.measure_distribution(mean, std)
    shapes = mean[:, None] + std[:, None] * torch.randn(2, 1500, 10, generator=generator)
    sampled = measurer.measure(shapes.flatten(0, 1)).view(2, 1500, 5)
    np.testing.assert_allclose(spread, sampled.std(1), rtol=0.08)  # 1500 draws: 1.8 % deviation
    np.testing.assert_allclose(values, measurer.measure(mean), rtol=1e-6)
    np.testing.assert_allclose(values[:, :4], sampled[..., :4].mean(1), atol=0.01)
    np.testing.assert_allclose(values[:, 4], sampled[..., 4].mean(1), rtol=0.02)


def test_works_where_gradients_are_off_and_keeps_people_apart() -> None:
    measurer = BodyMeasurer(load_body("open"))
    mean = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    std = torch.full((3, 10), 0.3)
    values, spread = measurer.measure_distribution(mean, std)
    with torch.inference_mode():
        alone = [measurer.measure_distribution(mean[i : i + 1].clone(), std[:1]) for i in range(3)]
    torch.testing.assert_close(torch.cat([value for value, _ in alone]), values)
    torch.testing.assert_close(torch.cat([deviation for _, deviation in alone]), spread)
    assert not values.requires_grad and not spread.requires_grad


def test_no_shape_uncertainty_gives_no_spread() -> None:
    measurer = BodyMeasurer(load_body("open"))
    _, spread = measurer.measure_distribution(torch.zeros(1, 10), torch.zeros(1, 10))
    assert spread.abs().max() == 0
