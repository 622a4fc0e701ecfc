from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from hierprob3d.configs.synthetic_people import HalvesConfig, SynthesisConfig
from hierprob3d.configs.training import DataConfig
from hierprob3d.training.people.bare_people import BarePeople
from hierprob3d.training.people.people_setup import PoseChoice, posed_people
from hierprob3d.training.people.posed_people import PosedPeopleSampler
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.random.draws import Draws, seeded_generator

OPEN_VIEW = SynthesisConfig(
    extreme_crop_probability=0, truncation_probability=0, occluder_probability=0
)


@pytest.fixture(scope="module")
def posed(pose_file: Path) -> PosedPeopleSampler:
    data = DataConfig(train_poses=str(pose_file))
    return posed_people(data, PoseChoice.for_training(data), "cpu")


def bare(posed: PosedPeopleSampler, config: SynthesisConfig, num: int = 24) -> RenderedSet:
    people = BarePeople(PosedPeopleSampler(posed.body, posed.poses, config))
    return people.sample(seeded_generator("cpu", 1), num, 32)


def test_bare_people_have_all_but_edges(posed: PosedPeopleSampler) -> None:
    people = bare(posed, OPEN_VIEW)
    assert people.edges.shape == (24, 32, 32) and not people.edges.any()
    assert not people.outside.any()
    assert 0.0 < people.hidden.float().mean() < 0.5  # behind the body
    assert people.joints2d.std(dim=0).min() > 5  # each stands and moves in another way


def test_the_same_seed_gives_the_same_people(posed: PosedPeopleSampler) -> None:
    first, second = bare(posed, SynthesisConfig(), 6), bare(posed, SynthesisConfig(), 6)
    assert all(torch.equal(vars(first)[name], vars(second)[name]) for name in vars(first))


def test_coarse_masks_hide_what_fine_ones_do(posed: PosedPeopleSampler) -> None:
    people = posed.sample(Draws(seeded_generator("cpu", 0)), 32)
    fine, coarse = (
        posed.hidden_by_body(posed.rasterized(people, size), people) for size in (256, 64)
    )
    assert (fine == coarse).float().mean() > 0.95  # 512 px agrees with 256 px to 0.99
    assert abs(fine.float().mean() - coarse.float().mean()) < 0.02


@pytest.mark.parametrize(
    ("change", "hidden", "outside"),
    [
        ({"occluder_probability": 1.0}, True, False),
        ({"missing_halves": HalvesConfig(bottom=1.0)}, True, False),
        ({"missing_parts": (1.0,) * 24, "missing_part_hides": 1.0}, True, False),
        ({"truncation_probability": 1.0}, False, True),
        ({"black_halves": HalvesConfig(top=1.0)}, False, True),
    ],
)
def test_what_hides_people_in_pictures_hides_bare_ones(
    posed: PosedPeopleSampler, change: dict, hidden: bool, outside: bool
) -> None:
    plain, changed = bare(posed, OPEN_VIEW), bare(posed, dataclasses.replace(OPEN_VIEW, **change))
    assert changed.outside.any() == outside
    if hidden:
        assert changed.hidden.float().mean() > plain.hidden.float().mean() + 0.02
    assert not (changed.hidden & changed.outside).any()


def test_the_paper_s_rule_counts_the_pixels_of_a_whole_picture(posed: PosedPeopleSampler) -> None:
    by_parts = bare(posed, dataclasses.replace(OPEN_VIEW, hidden_rule="parts"))
    assert not by_parts.hidden[:, [0, 1, 2, 3, 4, 5, 6, 11, 12]].any()  # as in the paper
    assert by_parts.hidden.float().mean() < 0.3  # at 64 px hardly a limb had 50 pixels


def test_bare_people_are_mixed_among_the_rendered(posed: PosedPeopleSampler) -> None:
    pictures = bare(posed, OPEN_VIEW, 10)
    pictures = dataclasses.replace(pictures, edges=pictures.edges + 1)
    mixed = BarePeople(posed).added_to(pictures, seeded_generator("cpu", 2), 6)
    with_edges = (mixed.edges > 0).flatten(1).any(1)
    assert len(mixed) == 16 and with_edges.sum() == 10
    assert not with_edges[:10].all()
    assert {tuple(b) for b in mixed.betas[with_edges].tolist()} == {
        tuple(b) for b in pictures.betas.tolist()
    }
