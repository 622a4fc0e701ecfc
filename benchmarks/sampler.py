"""Speed of matrix-Fisher sampling against a loop over people and joints, side by side in one run.

The loop does what the paper's published code does: for each joint of each person, eight times as
many proposals as draws from an envelope with fixed b = 1.5, everything again if too few are
accepted. Run: python -m benchmarks.sampler
"""

from __future__ import annotations

import argparse
import math

import torch
from benchmarks.timing import seconds
from torch import Tensor

from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.random_streams import RandomStreams, person_keys
from hierprob3d.model.rotation.rotations import unitquat_to_rotmat

OVERSAMPLING = 8
LOOP_B = 1.5


def looped_bingham_draws(A: Tensor, omega: Tensor, std: Tensor, num_draws: int) -> Tensor:
    """Quaternions (num_draws, 4) of one joint; starts over when too few are accepted."""
    assert A.shape == (4,)
    assert A.min() >= 0
    bound = math.exp(-(4 - LOOP_B) / 2) * (4 / LOOP_B) ** 2
    while True:
        proposals = std * torch.randn(num_draws * OVERSAMPLING, 4)
        proposals = proposals / torch.norm(proposals, dim=1, keepdim=True)
        with torch.no_grad():
            bingham = torch.exp(-torch.einsum("ni,i,ni->n", proposals, A, proposals))
            angular = torch.einsum("ni,i,ni->n", proposals, omega, proposals) ** -2
            accepted = torch.rand(len(proposals)) < bingham / (bound * angular)
            num_accepted = accepted.sum().item()
        if num_accepted >= num_draws:
            return proposals[accepted, :][:num_draws, :]


def looped_sample(U: Tensor, S: Tensor, V: Tensor, num_draws: int) -> Tensor:
    """Draws (P, num_draws, J, 3, 3) for U, V (P, J, 3, 3) and S (P, J, 3) of any determinant."""
    num_people, num_joints = S.shape[:2]
    det_U, det_V = torch.det(U), torch.det(V)
    U, S, V = U.clone(), S.clone(), V.clone()
    S[:, :, 2] *= det_U * det_V
    U[:, :, :, 2] *= det_U.unsqueeze(-1)
    V[:, :, :, 2] *= det_V.unsqueeze(-1)
    A = torch.zeros(num_people, num_joints, 4)
    A[:, :, 1] = 2 * (S[:, :, 1] + S[:, :, 2])
    A[:, :, 2] = 2 * (S[:, :, 0] + S[:, :, 2])
    A[:, :, 3] = 2 * (S[:, :, 0] + S[:, :, 1])
    omega = 1 + 2 * A / LOOP_B
    std = omega**-0.5
    quats = torch.zeros(num_people, num_draws, num_joints, 4)
    for i in range(num_people):
        for j in range(num_joints):
            quats[i, :, j] = looped_bingham_draws(A[i, j], omega[i, j], std[i, j], num_draws)
    quats = quats / torch.norm(quats, dim=-1, keepdim=True)
    return U[:, None] @ (unitquat_to_rotmat(quats) @ V[:, None].mT)


def network_like_parameters(num_people: int, num_joints: int) -> Tensor:
    """F (P, J, 3, 3) with uncertain to sharp joints: concentrations 1 to 300, log-uniform."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(num_people, num_joints, 3, 3, generator=generator)
    scale = 300 ** torch.rand(num_people, num_joints, 1, 1, generator=generator)
    return scale * (torch.eye(3) + 0.3 * noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--joints", type=int, default=23)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)

    # Both sides start from the decomposed parameters, as the network's head hands them on.
    distributions = MatrixFisher(network_like_parameters(args.people, args.joints))
    svd = distributions.svd
    streams = RandomStreams(person_keys(0, ["picture"] * args.people, range(args.people)))
    shape = (args.draws,)
    loop = seconds(lambda: looped_sample(*svd, args.draws), args.repeats)
    batched = seconds(lambda: distributions.sample(shape), args.repeats)
    keyed = seconds(lambda: distributions.sample(shape, streams), args.repeats)
    print(f"{args.draws} draws x {args.joints} joints x {args.people} people, one thread")
    print(f"loop over people and joints   {1e3 * loop:8.1f} ms")
    print(f"batched, torch generator      {1e3 * batched:8.1f} ms   {loop / batched:5.1f} x")
    print(f"batched, person-keyed streams {1e3 * keyed:8.1f} ms   {loop / keyed:5.1f} x")


if __name__ == "__main__":
    main()
