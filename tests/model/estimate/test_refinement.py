"""Bodies moved onto keypoints: a minimum of the stated energy, for each person alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.body_samples import BodyParameters, PersonParameters, mode_of
from hierprob3d.model.estimate.refinement import (
    CAMERA_STD,
    GLOBAL_STD,
    STUDENT_FREEDOM,
    keypoint_sizes,
    refine_bodies,
)
from hierprob3d.model.picture.cameras import half_turn_x, project_weak_perspective
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rotmat_geodesic_distance, rotvec_to_rotmat

NUM_PEOPLE = 24
LEFT_WRIST = 9
LIMBS = [0, 1, 3, 4, 15, 16, 17, 18]
"""Body joints about which little is known: hips, knees, shoulders, elbows."""
KEYPOINT_ERROR = 1.0
ALL = torch.ones(NUM_PEOPLE, 17, dtype=torch.bool)


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody(load_body("open").double())


def distributions() -> PersonParameters:
    """People about whose limbs less is known than about their trunks."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mode = rotvec_to_rotmat(0.3 * normal(NUM_PEOPLE, 23, 3))
    global_rotmat = rotvec_to_rotmat(0.3 * normal(NUM_PEOPLE, 3))
    concentration = torch.full((23, 1, 1), 40.0, dtype=torch.float64)
    concentration[LIMBS] = 8.0
    return PersonParameters(
        pose_F=concentration * mode, pose_mode=mode,
        shape_mean=normal(NUM_PEOPLE, 10), shape_std=torch.full_like(normal(NUM_PEOPLE, 10), 0.7),
        global_rotmat=global_rotmat, global_F=20 * global_rotmat,
        camera=torch.tensor([[0.8, 0.05, 0.3]], dtype=torch.float64).repeat(NUM_PEOPLE, 1),
        crop=torch.tensor([[128.0, 128.0, 256.0]]).repeat(NUM_PEOPLE, 1),
    )  # fmt: skip


def project(bodies: BodyParameters, body: KeypointBody) -> Tensor:
    rotmats = torch.cat([bodies.global_rotmat[:, None], bodies.pose], 1)
    points = half_turn_x(body.pose(bodies.betas, rotmats).points)
    return project_weak_perspective(points, bodies.camera)


def drawn(people: PersonParameters) -> BodyParameters:
    """A body from each distribution, which plays the truth."""
    generator = torch.Generator().manual_seed(5)
    pose = MatrixFisher(people.pose_F).sample((), generator)
    assert people.global_F is not None
    turned = MatrixFisher(people.global_F).sample((), generator)
    return BodyParameters(pose, people.shape_mean, turned, people.camera)


def energy(
    bodies: BodyParameters, people: PersonParameters, keypoints: Tensor, body: KeypointBody
) -> Tensor:
    """The energy of the module's docstring (P,), by densities of other modules up to a constant."""
    camera = bodies.camera
    off = torch.cat(
        [(camera[:, :1] / people.camera[:, :1]).log(), camera[:, 1:] - people.camera[:, 1:]], 1
    )
    global_F = people.global_F
    if global_F is None:
        global_F = people.global_rotmat / (2 * GLOBAL_STD**2)
    squares = (project(bodies, body) - keypoints).square().sum(-1)
    squares = squares / (KEYPOINT_ERROR * keypoint_sizes(people.camera)).square()
    student = torch.log1p(squares / STUDENT_FREEDOM).sum(-1) * (STUDENT_FREEDOM + 2) / 2
    return (
        student
        - MatrixFisher(people.pose_F).log_prob(bodies.pose).sum(-1)
        - MatrixFisher(global_F).log_prob(bodies.global_rotmat)
        + ((bodies.betas - people.shape_mean) / people.shape_std).square().sum(-1) / 2
        + (off / torch.tensor(CAMERA_STD, dtype=torch.float64)).square().sum(-1) / 2
    )


def test_errors_expected_grow_with_the_person() -> None:
    # COCO's sigma of a wrist is 0.062, of the root of an area that is 0.75 m wide; 2 of 128 px.
    scales = torch.tensor([[1e-6, 0.0, 0.0], [0.8, 0.0, 0.0]], dtype=torch.float64)
    small, usual = keypoint_sizes(scales)[:, LEFT_WRIST].tolist()
    assert small == pytest.approx(2 / 128)
    assert usual == pytest.approx(math.hypot(0.062 * 0.75 * 0.8, 2 / 128))


@pytest.mark.parametrize("with_global_F", [True, False])
def test_result_is_a_minimum_of_the_energy(body: KeypointBody, with_global_F: bool) -> None:
    people = distributions()
    keypoints = project(drawn(people), body)
    if not with_global_F:
        people = replace(people, global_F=None)
    refined = refine_bodies(people, keypoints, ALL, body, KEYPOINT_ERROR)
    change = torch.zeros(NUM_PEOPLE, 72 + 10 + 3, dtype=torch.float64, requires_grad=True)
    turns = rotvec_to_rotmat(change[:, :72].unflatten(-1, (24, 3)))
    moved = BodyParameters(
        refined.pose @ turns[:, 1:], refined.betas + change[:, 72:82],
        refined.global_rotmat @ turns[:, 0], refined.camera + change[:, 82:],
    )  # fmt: skip
    at_end = energy(moved, people, keypoints, body)
    (gradient,) = torch.autograd.grad(at_end.sum(), change)
    at_start = energy(mode_of(people), people, keypoints, body)
    assert (at_end < at_start - 1).all()
    assert gradient.abs().max() < 0.2  # per radian and the like; hundreds at the start


def test_refined_bodies_are_nearer_to_the_truth(body: KeypointBody) -> None:
    people = distributions()
    truth = drawn(people)
    keypoints = project(truth, body)
    refined = refine_bodies(people, keypoints, ALL, body, KEYPOINT_ERROR)
    misfit = [
        (project(b, body) - keypoints).norm(dim=-1).mean() for b in (mode_of(people), refined)
    ]
    assert misfit[1] < 0.2 * misfit[0]
    off = [
        rotmat_geodesic_distance(b.pose, truth.pose)[:, LIMBS].mean()
        for b in (mode_of(people), refined)
    ]  # 0.82 to 0.88 by other draws: keypoints do not tell turns about a limb
    assert off[1] < 0.9 * off[0]
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(refined.pose @ refined.pose.mT, identity.expand_as(refined.pose))


def test_nothing_seen_or_nothing_new_keeps_the_mode(body: KeypointBody) -> None:
    people = distributions()
    mode = mode_of(people)
    anything = torch.full((NUM_PEOPLE, 17, 2), math.nan, dtype=torch.float64)
    unseen = refine_bodies(people, anything, ~ALL, body, KEYPOINT_ERROR)
    confirmed = refine_bodies(people, project(mode, body), ALL, body, KEYPOINT_ERROR)
    for name, values in mode._asdict().items():
        torch.testing.assert_close(getattr(unseen, name), values, atol=1e-9, rtol=0)
        torch.testing.assert_close(getattr(confirmed, name), values, atol=1e-6, rtol=0)


def test_a_keypoint_far_off_hardly_pulls(body: KeypointBody) -> None:
    people = distributions()
    keypoints = project(drawn(people), body)
    spoilt = keypoints.clone()
    spoilt[:, LEFT_WRIST] += 1.0  # half a crop in both directions
    without = ALL.clone()
    without[:, LEFT_WRIST] = False
    pulled = project(refine_bodies(people, spoilt, ALL, body, KEYPOINT_ERROR), body)
    unpulled = project(refine_bodies(people, keypoints, without, body, KEYPOINT_ERROR), body)
    distance = (pulled - unpulled).norm(dim=-1)
    assert distance.mean() < 0.02  # of the 1.4 that the keypoint was moved


def test_everybody_is_refined_alone(body: KeypointBody) -> None:
    people = distributions()
    keypoints = project(drawn(people), body)
    together = refine_bodies(people, keypoints, ALL, body, KEYPOINT_ERROR)
    spoilt = replace(people, camera=people.camera.clone())
    spoilt.camera[0] = math.nan
    beside_a_nan = refine_bodies(spoilt, keypoints, ALL, body, KEYPOINT_ERROR)
    values = {name: value[2:3] for name, value in vars(people).items()}
    alone = refine_bodies(
        PersonParameters(**values), keypoints[2:3], ALL[2:3], body, KEYPOINT_ERROR
    )
    for name, expected in together._asdict().items():
        torch.testing.assert_close(getattr(beside_a_nan, name)[1:], expected[1:])
        torch.testing.assert_close(getattr(alone, name), expected[2:3])
    assert beside_a_nan.camera[0].isnan().all()


def test_larger_errors_expected_move_bodies_less(body: KeypointBody) -> None:
    people = distributions()
    keypoints = project(drawn(people), body)
    misfits = [
        (project(refine_bodies(people, keypoints, ALL, body, error), body) - keypoints).norm(dim=-1)
        for error in (0.3, 1.0, 3.0)
    ]
    assert misfits[0].mean() < misfits[1].mean() < misfits[2].mean()


def test_nearly_degenerate_distributions_do_not_stop_a_person() -> None:
    # trace(K) - K is then a difference of numbers a thousand times as large, in float32.
    body = KeypointBody(load_body("open"))
    people = PersonParameters(
        **{name: value.float() for name, value in vars(distributions()).items()}
    )
    keypoints = project(drawn(people), body)
    people.pose_F[:, 9] = torch.diag(torch.tensor([1e5, 100.0, -100.0])) @ people.pose_mode[:, 9]
    people.pose_mode[:, 9] = MatrixFisher(people.pose_F[:, 9]).mode
    before = (project(mode_of(people), body) - keypoints).norm(dim=-1).mean(-1)
    refined = refine_bodies(people, keypoints, ALL, body, KEYPOINT_ERROR)
    assert ((project(refined, body) - keypoints).norm(dim=-1).mean(-1) < 0.5 * before).all()
