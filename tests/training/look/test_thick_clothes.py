from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from hierprob3d.configs.synthetic_people import SynthesisConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.training.look.thick_clothes import ThickClothes
from hierprob3d.training.people.posed_people import PosedPeople, PosedPeopleSampler
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import Draws, seeded_generator


@pytest.fixture(scope="module")
def parts(body: Body) -> torch.Tensor:
    return torch.as_tensor(body.vertex_parts)


def people_of(body: Body, pose_file: Path, config: SynthesisConfig) -> PosedPeople:
    sampler = PosedPeopleSampler(body, PoseSampler(pose_file), config)
    return sampler.sample(Draws(seeded_generator("cpu", 0)), 8)


def test_clothes_stand_off_by_their_thickness_and_leave_face_hands_and_feet(
    body: Body, parts: torch.Tensor
) -> None:
    clothes = ThickClothes(body, parts, 0.05)
    shaped = body.shape(torch.zeros(1, 10))
    worn = clothes.worn(shaped, torch.tensor([[0.05, 0.03, 0.06]]))
    distance = (worn.vertices - shaped.vertices)[0].norm(dim=-1)
    # DensePose: 1, 2 trunk; 9, 10 thighs; 3, 4 hands; 5, 6 feet.
    torch.testing.assert_close(distance[parts == 1], torch.full_like(distance[parts == 1], 0.05))
    torch.testing.assert_close(distance[parts == 9], torch.full_like(distance[parts == 9], 0.03))
    assert (distance[(parts >= 3) & (parts <= 6)] == 0).all()
    head = (parts == 23) | (parts == 24)
    crown = head & (shaped.vertices[0, :, 1] > shaped.vertices[0, head, 1].max() - 0.02)
    tip_of_nose = shaped.vertices[0, :, 2].masked_fill(~head, -1).argmax()
    assert distance[crown].median() > 0.04 and distance[tip_of_nose] == 0
    assert torch.equal(worn.joints, shaped.joints)


def test_clothes_make_people_stouter(body: Body, parts: torch.Tensor) -> None:
    shaped = body.shape(torch.zeros(1, 10))
    worn = ThickClothes(body, parts, 0.05).worn(shaped, torch.tensor([[0.05, 0.0, 0.0]]))
    trunk = (parts == 1) | (parts == 2)
    before, after = (b.vertices[0, trunk] for b in (shaped, worn))
    wider = (after.amax(0) - after.amin(0)) - (before.amax(0) - before.amin(0))
    assert (wider > 0.04).all()  # outwards, on both sides


def test_thin_clothes_are_the_most_frequent(body: Body, parts: torch.Tensor) -> None:
    drawn = ThickClothes(body, parts, 0.05).draw(Draws(seeded_generator("cpu", 0)), 4000)
    assert (drawn.amin(0) >= 0).all()
    torch.testing.assert_close(drawn.amax(0), torch.tensor([0.05, 0.03, 0.06]), rtol=0.01, atol=0)
    # The median of the square of a uniform number is 1/4.
    assert drawn[:, 0].median() == pytest.approx(0.05 / 4, rel=0.1)


def test_the_truth_is_the_body_beneath(body: Body, pose_file: Path) -> None:
    thin = SynthesisConfig(distance_jitter=0, box_scale_jitter=0, box_centre_jitter=0)
    bare, dressed = (
        people_of(body, pose_file, dataclasses.replace(thin, clothes_thickness=thickness))
        for thickness in (0.0, 0.05)
    )
    assert bare.thickness.shape == (8, 3)
    assert (bare.thickness == 0).all() and (dressed.thickness > 0).all()
    assert torch.equal(bare.rotvecs, dressed.rotvecs) and torch.equal(bare.betas, dressed.betas)
    stand_off = (bare.vertices - dressed.vertices).norm(dim=-1).amax(1)
    # Knees and elbows blend the turns of two bones: there what stands off is blended too.
    assert (stand_off <= dressed.thickness.amax(1) + 1e-5).all() and (stand_off > 0).all()


def test_clothes_do_not_hide_what_they_cover(body: Body, pose_file: Path) -> None:
    bare, dressed = (
        PosedPeopleSampler(body, PoseSampler(pose_file), SynthesisConfig(clothes_thickness=t))
        for t in (0.0, 0.05)
    )
    people = dressed.sample(Draws(seeded_generator("cpu", 0)), 32)
    in_clothes = dressed.rasterized(people)
    hidden = dressed.hidden_by_body(in_clothes, people)
    as_skin = bare.hidden_by_body(in_clothes, people)  # taken for the surface of the body
    assert (hidden <= as_skin).all() and hidden.sum() < as_skin.sum()
    of_bodies = bare.sample(Draws(seeded_generator("cpu", 0)), 32)
    expected = bare.hidden_by_body(bare.rasterized(of_bodies), of_bodies)
    assert hidden.float().mean() == pytest.approx(float(expected.float().mean()), abs=0.02)
