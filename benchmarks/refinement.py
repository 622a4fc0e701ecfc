"""Speed of moving bodies onto keypoints against the straightforward way, side by side in one run.

The other side minimises the same energy as fitting code commonly does: Adam with gradients through
the whole mesh, all people together. Its time is that of the steps after which the energy is no more
than a hundredth above ours. Run: python -m benchmarks.refinement
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from benchmarks.timing import seconds
from torch import Tensor

from hierprob3d.configs.prediction import RefinementConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.estimate.body_samples import BodyParameters, PersonParameters, mode_of
from hierprob3d.model.estimate.refinement import (
    CAMERA_STD,
    STUDENT_FREEDOM,
    keypoint_sizes,
    refine_bodies,
)
from hierprob3d.model.picture.cameras import half_turn_x, project_weak_perspective
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat

ERROR = RefinementConfig.keypoint_error
NUM_UNKNOWNS = 72 + 10 + 3
ENOUGH = 1.01
LEARNING_RATE, MOST_STEPS = 0.03, 1000


def people_and_keypoints(num: int, body: Body) -> tuple[PersonParameters, Tensor]:
    """Distributions, and the keypoints of a draw from each with errors of two pixels."""
    generator = torch.Generator().manual_seed(0)
    mode = rotvec_to_rotmat(0.3 * torch.randn(num, 23, 3, generator=generator))
    turn = rotvec_to_rotmat(0.3 * torch.randn(num, 3, generator=generator))
    concentration = 8 + 60 * torch.rand(num, 23, 1, 1, generator=generator)
    people = PersonParameters(
        pose_F=concentration * mode, pose_mode=mode,
        shape_mean=torch.zeros(num, 10), shape_std=torch.ones(num, 10),
        global_rotmat=turn, global_F=20 * turn,
        camera=torch.tensor([[0.8, 0.0, 0.3]]).repeat(num, 1),
        crop=torch.tensor([[128.0, 128.0, 256.0]]).repeat(num, 1),
    )  # fmt: skip
    drawn = mode_of(people)._replace(pose=MatrixFisher(people.pose_F).sample((), generator))
    noise = torch.randn(num, 17, 2, generator=generator) * 2 / 128
    return people, projected(drawn, body) + noise


def projected(bodies: BodyParameters, body: Body) -> Tensor:
    """(P, 17, 2) through the mesh."""
    vertices, joints = body(bodies.betas, bodies.pose, bodies.global_rotmat)
    points = half_turn_x(body.coco_joints(vertices, joints))
    return project_weak_perspective(points, bodies.camera)


def energy(
    bodies: BodyParameters, people: PersonParameters, keypoints: Tensor, body: Body
) -> Tensor:
    """Sum over people of what `model.estimate.refinement` minimises, through the mesh."""
    mode = mode_of(people)
    assert people.global_F is not None
    sizes = ERROR * keypoint_sizes(people.camera)
    squares = (projected(bodies, body) - keypoints).square().sum(-1) / sizes.square()
    scale = (bodies.camera[:, :1] / people.camera[:, :1]).log()
    off = torch.cat([scale, bodies.camera[:, 1:] - people.camera[:, 1:]], 1)
    return (
        (STUDENT_FREEDOM + 2) / 2 * torch.log1p(squares / STUDENT_FREEDOM).sum()
        + (people.pose_F * (mode.pose - bodies.pose)).sum()
        + (people.global_F * (mode.global_rotmat - bodies.global_rotmat)).sum()
        + ((bodies.betas - mode.betas) / people.shape_std).square().sum() / 2
        + (off / torch.tensor(CAMERA_STD)).square().sum() / 2
    )


def plain_steps(people: PersonParameters, keypoints: Tensor, body: Body) -> Iterator[float]:
    """Energies before each step of Adam through the mesh."""
    change = torch.zeros(len(keypoints), NUM_UNKNOWNS, requires_grad=True)
    mode = mode_of(people)

    def current() -> Tensor:
        turns = rotvec_to_rotmat(change[:, :72].unflatten(-1, (24, 3)))
        betas = mode.betas + people.shape_std * change[:, 72:82]
        scale = mode.camera[:, :1] * change[:, 82:83].exp()
        camera = torch.cat([scale, mode.camera[:, 1:] + change[:, 83:]], 1)
        moved = BodyParameters(
            mode.pose @ turns[:, 1:], betas, mode.global_rotmat @ turns[:, 0], camera
        )
        return energy(moved, people, keypoints, body)

    optimiser = torch.optim.Adam([change], lr=LEARNING_RATE)
    for _ in range(MOST_STEPS):
        optimiser.zero_grad()
        value = current()
        value.backward()
        yield float(value.detach())
        optimiser.step()
    raise RuntimeError(f"Adam did not come near in {MOST_STEPS} steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body("open")
    keypoint_body = KeypointBody(body)
    people, keypoints = people_and_keypoints(args.people, body)
    visible = torch.ones(args.people, 17, dtype=torch.bool)

    def ours() -> BodyParameters:
        return refine_bodies(people, keypoints, visible, keypoint_body, ERROR)

    reached = float(energy(ours(), people, keypoints, body))
    counted = enumerate(plain_steps(people, keypoints, body), 1)
    num_steps = next(number for number, value in counted if value <= ENOUGH * reached)

    def plain() -> None:
        steps = plain_steps(people, keypoints, body)
        for _ in range(num_steps):
            next(steps)

    fast, slow = seconds(ours, args.repeats), seconds(plain, 1)
    start = float(energy(mode_of(people), people, keypoints, body))
    print(
        f"refinement, {args.people} people: ours {1000 * fast / args.people:.1f} ms a person, "
        f"Adam through the mesh {1000 * slow / args.people:.0f} ms ({num_steps} steps), ratio "
        f"{slow / fast:.0f}; energy {start / args.people:.1f} -> {reached / args.people:.1f}"
    )


if __name__ == "__main__":
    main()
