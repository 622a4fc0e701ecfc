"""The 14 metrics of 3DPW x 10 samples, batched, beside a loop over frames in the paper's manner.

    python -m benchmarks.metrics [--batch 64] [--samples 10] [--repeats 5]

Both sides get the same bodies, run on one thread and in one process, in turns; printed are the
medians and their ratio. The loop is our own port of how the paper's tracker works: one frame at a
time, NumPy, every metric from scratch, Procrustes point set by point set.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from hierprob3d.model.estimate.metrics import BodyPoints, best_of, body_errors

NAMES = ("PVE", "PVE-SC", "PVE-PA", "PVE-T-SC", "MPJPE", "MPJPE-SC", "MPJPE-PA")
POINTS = {"PVE-T-SC": "reposed", "PVE": "vertices", "PVE-SC": "vertices", "PVE-PA": "vertices"}


def procrustes_of_one(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    x, y = source.T, target.T
    mean_x, mean_y = x.mean(1, keepdims=True), y.mean(1, keepdims=True)
    centred = x - mean_x
    product = centred.dot((y - mean_y).T)
    u, _, vt = np.linalg.svd(product)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u.dot(vt)))])
    rotation = vt.T.dot(flip.dot(u.T))
    scale = np.trace(rotation.dot(product)) / np.sum(centred**2)
    return (scale * rotation.dot(x) + mean_y - scale * rotation.dot(mean_x)).T


def aligned(source: np.ndarray, target: np.ndarray, name: str) -> np.ndarray:
    if name.endswith("-PA"):
        pairs = zip(source, target, strict=True)
        return np.stack([procrustes_of_one(one, other) for one, other in pairs])
    if name.endswith("-SC"):
        centred = source - source.mean(1, keepdims=True)
        target_mean = target.mean(1, keepdims=True)
        size = np.sqrt((centred**2).sum((1, 2), keepdims=True) / source.shape[1])
        target_size = np.sqrt(
            ((target - target_mean) ** 2).sum((1, 2), keepdims=True) / target.shape[1]
        )
        return centred / size * target_size + target_mean
    return source


def loop_over_frames(prediction: dict, target: dict) -> dict[str, list[float]]:
    results: dict[str, list[float]] = {}
    for frame in range(len(target["vertices"])):
        for name in NAMES:
            points = POINTS.get(name, "joints")
            true = target[points][frame][None]
            mode, samples = prediction[points][frame][:1], prediction[points][frame][1:]
            tiled = np.tile(true, (len(samples), 1, 1))
            distances = np.linalg.norm(aligned(mode, true, name) - true, axis=-1)
            results.setdefault(name, []).append(float(distances.mean()))
            per_sample = np.linalg.norm(aligned(samples, tiled, name) - tiled, axis=-1)
            least = per_sample[np.argmin(per_sample.mean(-1))]
            results.setdefault(f"{name}_samples_min", []).append(float(least.mean()))
    return results


def batched(prediction: BodyPoints, target: BodyPoints) -> dict[str, torch.Tensor]:
    errors = body_errors(prediction, target, NAMES)
    num_samples = prediction.vertices.shape[1] - 1
    minima = {f"{name}_samples_min": best_of(e[:, 1:], num_samples) for name, e in errors.items()}
    return {name: e[:, 0] for name, e in errors.items()} | minima


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    sizes = {"vertices": 6890, "reposed": 6890, "joints": 14}
    target = {k: torch.randn(options.batch, n, 3, generator=generator) for k, n in sizes.items()}
    shape = (options.batch, options.samples + 1)
    prediction = {
        k: target[k][:, None] + 0.05 * torch.randn(*shape, n, 3, generator=generator)
        for k, n in sizes.items()
    }
    ours = BodyPoints(**prediction), BodyPoints(**target)
    theirs = tuple({k: v.numpy() for k, v in d.items()} for d in (prediction, target))
    for name, values in loop_over_frames(*theirs).items():
        np.testing.assert_allclose(batched(*ours)[name].numpy(), values, rtol=1e-5)
    times = [
        (seconds_of(lambda: loop_over_frames(*theirs)), seconds_of(lambda: batched(*ours)))
        for _ in range(options.repeats)
    ]
    loop, batch = (
        statistics.median(column) / options.batch * 1e3 for column in zip(*times, strict=True)
    )
    print(
        json.dumps(
            {"loop_ms_per_frame": loop, "batched_ms_per_frame": batch, "ratio": loop / batch}
        )
    )


if __name__ == "__main__":
    main()
