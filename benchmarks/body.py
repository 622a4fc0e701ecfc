"""Speed of posing many samples of one person against posing each as if it were a new person.

The other side does what the paper's published code does through smplx: shape blend shapes, joint
regression, pose blend shapes and a full 4 x 4 transform per vertex for every sample, one joint of
the chain after the other. Run: python -m benchmarks.body
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.body.skeleton import PARENTS
from hierprob3d.model.estimate.uncertainty import sample_spread
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat

Arrays = dict[str, Tensor]


def plain_arrays(body: Body) -> Arrays:
    """The file's arrays in the layout that the plain way uses."""
    names = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    with np.load(body.path) as archive:
        arrays = {name: torch.from_numpy(archive[name]).float() for name in names}
    arrays["posedirs"] = arrays["posedirs"].reshape(-1, arrays["posedirs"].shape[-1]).T.contiguous()
    return arrays


def rigid(rotation: Tensor, translation: Tensor) -> Tensor:
    """4 x 4 matrices (..., 4, 4) of rotations (..., 3, 3) and translations (..., 3)."""
    matrix = torch.zeros(*rotation.shape[:-2], 4, 4)
    matrix[..., :3, :3], matrix[..., :3, 3], matrix[..., 3, 3] = rotation, translation, 1
    return matrix


def plainly_posed(arrays: Arrays, betas: Tensor, rotmats: Tensor) -> Tensor:
    """Vertices (N, V, 3) of N bodies with betas (N, 10) and rotations (N, 24, 3, 3)."""
    shaped = arrays["v_template"] + torch.einsum("bl,mkl->bmk", betas, arrays["shapedirs"])
    joints = torch.einsum("bik,ji->bjk", shaped, arrays["J_regressor"])
    features = (rotmats[:, 1:] - torch.eye(3)).flatten(1)
    posed = shaped + (features @ arrays["posedirs"]).view(len(betas), -1, 3)
    bones = torch.cat([joints[:, :1], joints[:, 1:] - joints[:, list(PARENTS[1:])]], dim=1)
    local = rigid(rotmats, bones)
    chain = [local[:, 0]]
    for joint in range(1, 24):
        chain.append(chain[PARENTS[joint]] @ local[:, joint])
    world = torch.stack(chain, dim=1)
    home = rigid(torch.eye(3).expand_as(rotmats), -joints)
    weights = arrays["weights"].expand(len(betas), -1, -1)
    blended = (weights @ (world @ home).flatten(2)).view(len(betas), -1, 4, 4)
    homogeneous = torch.cat([posed, torch.ones(*posed.shape[:2], 1)], dim=2)
    return (blended @ homogeneous[..., None])[:, :, :3, 0]


def seconds(functions: list[Callable[[], object]], repeats: int) -> list[float]:
    """Shortest CPU time of each function; they take turns, so that a busy machine hurts all."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats + 1):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            best[i] = min(best[i], time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)

    body, dense = load_body("open"), load_body("open")
    dense.sparse_posedirs = None  # as for SMPL's files, whose pose blend shapes are dense
    arrays, betas = plain_arrays(body), torch.randn(1, 10)
    rotmats = rotvec_to_rotmat(0.4 * torch.randn(1, args.samples, 24, 3))
    pose, turn = rotmats[:, :, 1:].contiguous(), rotmats[:, 0, 0]
    rotmats[:, :, 0] = turn
    repeated = betas.expand(args.samples, -1)
    vertices, _ = body.pose(body.shape(betas), pose, turn)
    error = (vertices[0] - plainly_posed(arrays, repeated, rotmats[0])).abs().max()
    measurer = BodyMeasurer(body)

    functions: list[Callable[[], object]] = [
        lambda: plainly_posed(arrays, repeated, rotmats[0]),
        lambda: dense.pose(dense.shape(betas), pose, turn),
        lambda: body.pose(body.shape(betas), pose, turn),
        lambda: sample_spread(vertices),
        lambda: measurer.measure_distribution(betas, torch.ones(1, 10)),
    ]
    plain, dense_time, sparse_time, spread, measure = seconds(functions, args.repeats)
    print(f"{args.samples} samples of one person, one thread; largest difference {error:.1e} m")
    print(f"each sample as a new person     {1e3 * plain:7.1f} ms")
    print(
        f"dense pose shapes (SMPL)        {1e3 * dense_time:7.1f} ms  {plain / dense_time:5.1f} x"
    )
    print(
        f"sparse pose shapes (OpenBody)   {1e3 * sparse_time:7.1f} ms  {plain / sparse_time:5.1f} x"
    )
    print(f"spread of the vertices          {1e3 * spread:7.1f} ms")
    print(f"four measurements with spread   {1e3 * measure:7.1f} ms")


if __name__ == "__main__":
    main()
