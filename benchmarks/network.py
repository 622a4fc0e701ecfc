"""The 23-joint head, level by level, beside a loop over joints in the paper's manner.

    python -m benchmarks.network [--people 16] [--repeats 100]

All sides get the same embeddings and the same weights, on one thread and in one process, in turns;
printed are the shortest times, which other work on the machine disturbs least, and their ratios.
The loop is our own port of how the paper's network works: one joint after the other, each with its
linear layers, SVD and two determinants. The paper's prediction sends people through it one by one
(timed for one person, times their number); it is also timed with all people in one batch.
LAPACK's SVDs and the product of embeddings and weights are timed alone: both sides need them, so
they bound by how much the loop can be beaten.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import ANCESTORS, LEVELS, NUM_BODY_JOINTS
from hierprob3d.model.network.pose_head import SIGN_RULES, PoseHead

EMBED_DIM = 256


def joint_by_joint(head: PoseHead, embed: Tensor) -> Tensor:
    num_people = len(embed)
    F = torch.zeros(num_people, NUM_BODY_JOINTS, 3, 3)
    U, V, mode = torch.zeros_like(F), torch.zeros_like(F), torch.zeros_like(F)
    S = torch.zeros(num_people, NUM_BODY_JOINTS, 3)
    for joint in range(NUM_BODY_JOINTS):
        inputs = [embed]
        ancestors = list(ANCESTORS[joint])
        if ancestors:
            known = (U[:, ancestors], S[:, ancestors], mode[:, ancestors])
            inputs += [part.reshape(num_people, -1) for part in known]
        joint_F = head[joint](torch.cat(inputs, dim=1)).view(-1, 3, 3) + torch.eye(3)
        joint_U, joint_S, joint_V = torch.svd(joint_F)
        det_U, det_V = torch.det(joint_U), torch.det(joint_V)
        joint_U[:, :, 2] *= det_U[:, None]
        joint_S[:, 2] *= det_U * det_V
        joint_V[:, :, 2] *= det_V[:, None]
        F[:, joint], U[:, joint], S[:, joint], V[:, joint] = joint_F, joint_U, joint_S, joint_V
        mode[:, joint] = joint_U @ joint_V.mT
    return F


def svds_alone(F: Tensor) -> None:
    for joints in LEVELS:
        torch.linalg.svd(F[:, joints[0] : joints[-1] + 1])


def milliseconds(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Shortest time of each, measured in turns after one round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: min(values[1:]) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    heads = {rule: PoseHead(EMBED_DIM, rule).eval() for rule in SIGN_RULES}
    paper = heads["paper"]
    embed = torch.randn(args.people, EMBED_DIM)
    first_weights = torch.randn(EMBED_DIM, NUM_BODY_JOINTS * EMBED_DIM // 2)
    with torch.inference_mode():
        for head in heads.values():
            head.freeze()
        F = joint_by_joint(paper, embed)
        same = ((paper(embed).F - F).abs().amax((-2, -1)) < 1e-4).float().mean().item()
        took = milliseconds(
            {
                "loop, one by one": lambda: joint_by_joint(paper, embed[:1]),
                "loop, one batch": lambda: joint_by_joint(paper, embed),
                "levels, paper rule": lambda: paper(embed),
                "levels, invariant rule": lambda: heads["invariant"](embed),
                "LAPACK SVDs alone": lambda: svds_alone(F),
                "embedding product alone": lambda: embed @ first_weights,
            },
            args.repeats,
        )
    took["loop, one by one"] *= args.people
    print(f"{args.people} people, one thread; {same:.1%} of F within 1e-4 of the loop's")
    for name, value in took.items():
        ratios = [took["loop, one by one"] / value, took["loop, one batch"] / value]
        print(
            f"{name:24} {value:7.2f} ms; {ratios[0]:5.1f} x the loop one by one, "
            f"{ratios[1]:4.1f} x the loop in one batch"
        )


if __name__ == "__main__":
    main()
