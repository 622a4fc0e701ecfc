"""Speed of edges and heatmaps against the straightforward way, side by side in one run.

The other side does what the paper's published code does, person after person: one-channel
convolutions colour by colour, a mask per direction, and the exponential of the full plane for every
keypoint. Run: python -m benchmarks.canny
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
import torch.nn.functional as functional
from benchmarks.timing import seconds
from torch import Tensor

from hierprob3d.model.picture.canny import CannyEdgeDetector, gaussian_weights
from hierprob3d.model.picture.heatmaps import gaussian_profiles
from hierprob3d.model.picture.proxy import make_proxy

SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
# Neighbour that each direction compares with: (down, right) for 0, 45, ..., 315 degrees.
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def direction_filters() -> Tensor:
    filters = torch.zeros(8, 1, 3, 3)
    filters[:, 0, 1, 1] = 1.0
    for index, (down, right) in enumerate(DIRECTIONS):
        filters[index, 0, 1 + down, 1 + right] = -1.0
    return filters


def plain_gradient(rgb: Tensor) -> tuple[Tensor, Tensor]:
    row = torch.tensor(gaussian_weights(5, 1.0), dtype=torch.float32).view(1, 1, 1, 5)
    grad_x = grad_y = torch.zeros(1)
    for colour in range(rgb.shape[1]):
        channel = rgb[:, colour : colour + 1]
        across = functional.conv2d(channel, row, padding=(0, 2))
        blurred = functional.conv2d(across, row.mT, padding=(2, 0))
        grad_x = grad_x + functional.conv2d(blurred, SOBEL[None, None], padding=1)
        grad_y = grad_y + functional.conv2d(blurred, SOBEL.T[None, None], padding=1)
    return grad_x / rgb.shape[1], grad_y / rgb.shape[1]


def plain_edges(rgb: Tensor) -> Tensor:
    grad_x, grad_y = plain_gradient(rgb)
    strength = (grad_x**2 + grad_y**2) ** 0.5
    degrees = torch.atan2(grad_y, grad_x) * (180.0 / math.pi) + 180.0
    direction = torch.round(degrees / 45.0) % 8
    excess = functional.conv2d(strength, direction_filters(), padding=1)
    edges = strength.clone()
    for axis in range(4):
        on_axis = (direction == axis) | (direction == axis + 4)
        peak = torch.minimum(excess[:, axis], excess[:, axis + 4])[:, None] > 0
        edges[on_axis & ~peak] = 0.0
    return edges


def plain_heatmaps(joints2d: Tensor, size: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    x, y = joints2d[..., 0, None, None], joints2d[..., 1, None, None]
    return torch.exp(-(((columns - x) / 4.0) ** 2) / 2 - (((rows - y) / 4.0) ** 2) / 2)


def plain_proxy(rgb: Tensor, joints2d: Tensor, visible: Tensor) -> Tensor:
    proxies = []
    for person in range(rgb.shape[0]):
        one = slice(person, person + 1)
        heatmaps = plain_heatmaps(joints2d[one], rgb.shape[-1]) * visible[one, :, None, None]
        proxies.append(torch.cat((plain_edges(rgb[one]), heatmaps), dim=1))
    return torch.cat(proxies)


def compare(name: str, ours: Callable[[], Tensor], plain: Callable[[], Tensor], args: Args) -> None:
    difference = (ours() - plain()).abs().max().item()
    fast, slow = seconds(ours, args.repeats), seconds(plain, args.repeats)
    per_person = 1000.0 / args.batch
    print(
        f"{name:9s} {args.size:4d} px  ours {fast * per_person:7.2f} ms/person  "
        f"plain {slow * per_person:7.2f} ms/person  ratio {slow / fast:5.1f}  "
        f"largest difference {difference:.1e}"
    )


class Args(argparse.Namespace):
    """Options of the command line."""

    batch: int
    size: int
    repeats: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16, help="persons")
    parser.add_argument("--size", type=int, default=256, help="side of the crop, px")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(namespace=Args())
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    rgb = torch.rand(args.batch, 3, args.size, args.size, generator=generator)
    joints2d = torch.rand(args.batch, 17, 2, generator=generator) * args.size
    visible = torch.rand(args.batch, 17, generator=generator) > 0.2
    detector = CannyEdgeDetector(threshold=0.0)

    def plain_edges_one_by_one() -> Tensor:
        return torch.cat([plain_edges(picture[None]) for picture in rgb])

    def plain_heatmaps_one_by_one() -> Tensor:
        return torch.cat([plain_heatmaps(joints[None], args.size) for joints in joints2d])

    compare("edges", lambda: detector.edges(rgb), plain_edges_one_by_one, args)

    def heatmaps() -> Tensor:
        rows, columns = gaussian_profiles(joints2d, args.size, std=4.0)
        return rows * columns

    compare("heatmaps", heatmaps, plain_heatmaps_one_by_one, args)
    compare(
        "proxy",
        lambda: make_proxy(rgb, joints2d, visible),
        lambda: plain_proxy(rgb, joints2d, visible),
        args,
    )


if __name__ == "__main__":
    main()
