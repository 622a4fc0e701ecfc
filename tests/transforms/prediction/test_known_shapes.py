"""Shapes by silhouettes and known heights take the place of the network's."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hierprob3d.configs.prediction import SourceConfig
from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.shape_net import load_shape_net
from hierprob3d.model.people.body_widths import NUM_WIDTHS
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.prediction.known_shapes import with_known_shapes


@pytest.fixture(scope="module")
def models() -> Any:
    body = load_body("open")
    return SimpleNamespace(body=body, measurer=BodyMeasurer(body), shape_net=load_shape_net())


def people_and_columns() -> tuple[People, Columns]:
    """Three upright people alike, the last of them without a silhouette; the second's height is
    given."""
    items = [picture_item(f"/{number}.jpg") for number in range(3)]
    items[1] = replace(items[1], given=json.dumps([{"height_m": 1.9}]))
    widths = torch.full((3, NUM_WIDTHS), 0.3)
    widths[2] = torch.nan
    keypoints = torch.rand(1, 17, 3, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    people = People(items, [0] * 3, {"keypoints": 100 * keypoints, "widths": widths})
    eye = torch.eye(3)
    return people, {
        "shape_mean": torch.full((3, 10), 0.1),
        "shape_std": torch.ones(3, 10),
        "pose_mode": eye.expand(3, 23, 3, 3),
        "global_rotmat": eye.expand(3, 3, 3),
        "camera": torch.tensor([[0.9, 0.0, 0.1]]).repeat(3, 1),
    }


@torch.no_grad()
def test_silhouettes_and_given_heights_count_where_they_are(models: Any) -> None:
    people, columns = people_and_columns()
    found = with_known_shapes(people, columns, models, None)
    assert found["shape_from_silhouette"].tolist() == [True, True, False]
    for name in ("shape_mean", "shape_std", "camera"):
        torch.testing.assert_close(found[name][2], columns[name][2], rtol=0, atol=0)
        assert not torch.equal(found[name][0], columns[name][0])
    height, _ = models.measurer.height_and_slope(found["shape_mean"])
    assert height[1].item() == pytest.approx(1.9, abs=1e-3)
    # A taller body is farther away: its picture is about as large, though its legs are longer.
    others, _ = models.measurer.height_and_slope(found["shape_mean"][:1])
    seen = found["camera"][:, 0] * height
    assert seen[1].item() == pytest.approx(seen[0].item(), rel=0.05)
    assert abs(others.item() - 1.9) > 0.05


@torch.no_grad()
def test_a_height_known_of_all_gives_way_to_a_list_s(models: Any) -> None:
    people, columns = people_and_columns()
    found = with_known_shapes(people, columns, replace_net(models, None), 1.6)
    height, _ = models.measurer.height_and_slope(found["shape_mean"])
    torch.testing.assert_close(height, torch.tensor([1.6, 1.9, 1.6]), atol=1e-3, rtol=0)
    assert not found["shape_from_silhouette"].any()
    as_it_was = with_known_shapes(
        people.select([0]), first(columns), replace_net(models, None), None
    )
    assert torch.equal(as_it_was["camera"], columns["camera"][:1])


@pytest.mark.parametrize("height", [0.0, -1.0, 178.0, float("nan")])
def test_a_height_of_nobody_is_one_line(height: float) -> None:
    with pytest.raises(ValueError, match=r"--known-height must be metres, 0\.4 to 2\.8, got"):
        SourceConfig(inputs=("a.jpg",), known_height=height)


def replace_net(models: Any, net: Any) -> Any:
    return SimpleNamespace(**{**vars(models), "shape_net": net})


def first(columns: Columns) -> Columns:
    return {name: values[:1] for name, values in columns.items()}
