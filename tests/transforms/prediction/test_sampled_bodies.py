"""Samples in parts: the same numbers as all at once, with memory that does not grow with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hierprob3d.configs.prediction import SamplingConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.intersecting_samples import intersects
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.prediction import sampled_bodies as sampling
from hierprob3d.transforms.prediction.sampled_bodies import ForDrawing

THREE_MESHES = ForDrawing(num_meshes=3)


@pytest.fixture(scope="module")
def models() -> Models:
    """A body without networks: nothing else is asked for."""
    unused: Any = None
    return Models(
        detector=None, keypoints=unused, net=unused, body=load_body("open"), measurer=unused,
        device=torch.device("cpu"), threshold=0.3,
    )  # fmt: skip


def draw(
    models: Models,
    paper_rule: bool,
    global_spread: bool = True,
    save: frozenset[str] = frozenset({"samples", "vertex_spread"}),
    drawing: ForDrawing | None = THREE_MESHES,
    drop_intersecting: bool = False,
    concentration: float = 20.0,
) -> Columns:
    generator = torch.Generator().manual_seed(0)
    columns = {
        "pose_F": concentration * torch.eye(3).repeat(2, 23, 1, 1),
        "pose_mode": torch.eye(3).repeat(2, 23, 1, 1),
        "shape_mean": torch.randn(2, 10, generator=generator),
        "shape_std": torch.full((2, 10), 0.5),
        "global_rotmat": torch.eye(3).repeat(2, 1, 1),
        "camera": torch.tensor([[0.8, 0.0, 0.1]]).repeat(2, 1),
        "crop": torch.tensor([[100.0, 120.0, 200.0]]).repeat(2, 1),
        "keypoints": 100 * torch.rand(2, 17, 3, generator=generator),
    }
    if global_spread:
        columns["global_F"] = 10 * columns["global_rotmat"]
    people = People([picture_item("/a.png"), picture_item("/b.png")], [0, 0], columns)
    config = SamplingConfig(
        num_samples=7, paper_rule=paper_rule, save=save, drop_intersecting=drop_intersecting
    )
    with torch.inference_mode():
        return sampling.sample_bodies(people, models, config, drawing)


@pytest.mark.parametrize("paper_rule", [False, True])
def test_parts_of_samples_give_what_all_give(
    models: Models, paper_rule: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = draw(models, paper_rule)
    monkeypatch.setattr(sampling, "_BODIES_AT_ONCE", {"cpu": 3})
    in_parts = draw(models, paper_rule)
    assert in_parts["sample_vertices"].shape == (2, 3, 6880, 3)
    for name, column in together.items():
        torch.testing.assert_close(in_parts[name], column, atol=1e-4, rtol=1e-5, msg=name)


def test_global_rotations_are_in_the_order_of_the_samples(models: Models) -> None:
    sampled = draw(models, paper_rule=False)
    # The left hip's place from the pelvis tells how the body was turned: nothing else moves it but
    # the shape, by a few millimetres.
    hip = sampled["samples_joints3d"][:, :, 1] * torch.tensor([1.0, -1.0, -1.0])
    plain = draw(models, paper_rule=False, global_spread=False)
    rest = plain["samples_joints3d"][:, :1, 1] * torch.tensor([1.0, -1.0, -1.0])
    turned = (sampled["samples_global_rotmat"] @ rest[..., None])[..., 0]
    assert (hip - turned).norm(dim=-1).max() < 0.02 < (hip - rest).norm(dim=-1).max()
    assert (sampled["vertex_spread_m"] > plain["vertex_spread_m"]).float().mean() > 0.95


def test_papers_rule_keeps_the_global_rotation(models: Models) -> None:
    sampled, plain = (draw(models, True, global_spread) for global_spread in (True, False))
    assert torch.equal(sampled["vertex_spread_m"], plain["vertex_spread_m"])
    assert "samples_global_rotmat" not in plain
    # What is saved rebuilds the saved joints: all samples have one shape and one rotation.
    for name in ("samples_betas", "samples_global_rotmat"):
        assert torch.equal(sampled[name], sampled[name][:, :1].expand_as(sampled[name]))


@pytest.mark.parametrize("paper_rule", [False, True])
def test_spread_of_joints_is_that_of_the_saved_samples_and_of_the_meshes(
    models: Models, paper_rule: bool
) -> None:
    sampled = draw(models, paper_rule)
    joints = sampled["samples_joints3d"]
    distances = (joints - joints.mean(1, keepdim=True)).norm(dim=-1)
    spread = sampled["joint_spread_m"]
    torch.testing.assert_close(spread, distances.mean(1), atol=1e-6, rtol=0)
    assert spread.shape == (2, 24) and not spread[:, 0].any()
    assert spread[:, 20:].min() > spread[:, 1:3].max()  # wrists and hands more than hips


def test_only_spreads_that_are_asked_for_cost_meshes(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = draw(models, paper_rule=False)
    drawn = draw(models, False, save=frozenset(), drawing=ForDrawing(vertex_spread=True))
    assert set(drawn) == {"joint_spread_m", "vertex_spread_m"}
    assert torch.equal(drawn["vertex_spread_m"], full["vertex_spread_m"])

    def no_mesh(*_: object) -> None:
        raise AssertionError("a mesh was made")

    monkeypatch.setattr(type(models.body), "pose", no_mesh)
    alone = draw(models, False, save=frozenset(), drawing=None)
    assert set(alone) == {"joint_spread_m"}
    assert torch.equal(alone["joint_spread_m"], full["joint_spread_m"])


def test_intersections_are_told_and_dropped_where_wanted(models: Models) -> None:
    sure = draw(models, False, save=frozenset({"intersections"}), concentration=500.0, drawing=None)
    kept = draw(models, False, drop_intersecting=True, concentration=2.0, drawing=None)
    free = draw(models, False, save=frozenset({"samples", "intersections"}), concentration=2.0,
                drawing=None)  # fmt: skip
    assert "intersecting_left" not in sure and not sure["intersecting_share"].any()
    assert "intersecting_share" not in kept and not kept["intersecting_left"].any()
    assert not intersects(kept["samples_pose"]).any()
    shares = intersects(free["samples_pose"]).float().mean(1)
    assert shares.max() > 0 and torch.equal(free["intersecting_share"], shares)
