"""What a first day on a GPU needs, in eight minutes: is it right, how fast is it, what is left.

    python -m benchmarks.gpu [--device cuda] [--minutes 8]

In this order, each as long as there is time: the demo's people as the CPU finds them and as the
device does; people a second by stage, for several batch sizes; each network's arithmetic as a share
of what a large matrix product reaches; training (`benchmarks.training`). Every line is one JSON
object. With --device cpu all but the figures is the same, which a test does with a small batch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from hierprob3d.configs.prediction import ModelsConfig, PredictConfig, RunConfig, SourceConfig
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.models import Models, load_models
from hierprob3d.transforms.inputs.items import Frame, picture_item
from hierprob3d.transforms.prediction.annotator import run_stages

BATCH_SIZES = (1, 16, 64, 256)
LARGE, SMALL = 8192, 512


def demo_pictures() -> list[np.ndarray]:
    paths = sorted((ASSETS / "demo").glob("*.png"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def annotated(pictures: Sequence[np.ndarray], models: Models, config: PredictConfig) -> Batch:
    """The pictures after all stages."""
    frames = [Frame(picture_item(f"/{n}.png"), picture) for n, picture in enumerate(pictures)]
    batch = Batch(frames)
    run_stages(batch, models, config)
    for failure in batch.failures:
        raise failure.error
    return batch


def config_for(device: str, batch_size: int) -> PredictConfig:
    return PredictConfig(
        source=SourceConfig(inputs=("arrays",)),
        models=ModelsConfig(device=device, engine="torch"),
        run=RunConfig(output="nowhere", batch_size=batch_size),
    )


def differences(device: str) -> dict[str, float]:
    """Largest differences between the device's people and the CPU's, column by column."""
    batches = []
    for place in ("cpu", device):
        config = config_for(place, 16)
        batches.append(annotated(demo_pictures(), load_models(config.models), config))
    ours, expected = (batch.people.columns for batch in batches)
    if len(batches[0].people) != len(batches[1].people):
        raise SystemExit("the device finds another number of people")
    names = ("bbox", "keypoints", "pose_F", "pose_mode", "shape_mean", "camera", "joints3d",
             "joint_spread_m")  # fmt: skip
    return {
        name: float((ours[name].cpu().float() - expected[name].cpu().float()).abs().max())
        for name in names
    }


def rates(device: str, batch_size: int) -> dict[str, float]:
    """People a second of each stage and of all, second time round."""
    config = config_for(device, batch_size)
    models, demo = load_models(config.models), demo_pictures()
    pictures = [demo[number % len(demo)] for number in range(batch_size)]
    annotated(pictures, models, config)
    batch = annotated(pictures, models, config)
    num_people = len(batch.people)
    found = {stage: num_people / taken for stage, taken in batch.clock.seconds.items()}
    return found | {"all": num_people / batch.clock.total}


def best_time(function: object, device: torch.device, repeats: int = 5) -> float:
    """Shortest wall time; a device is waited for."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()  # type: ignore[operator]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def roofline(device: str, batch_size: int) -> dict[str, float]:
    """Each network's operations a second over those of a large matrix product."""
    models = load_models(config_for(device, batch_size).models)
    place, side = models.device, LARGE if models.device.type == "cuda" else SMALL
    square = torch.rand(side, side, device=place)
    peak = 2 * side**3 / best_time(lambda: square @ square, place)
    shares = {"product_tflops": peak / 1e12}
    owners = {"keypoints": models.keypoints} | (
        {} if models.detector is None else {"detector": models.detector}
    )
    for part, owner in owners.items():
        example = owner.network.example_input().to(place)  # type: ignore[operator]
        images = example.repeat(batch_size, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        with FlopCounterMode(display=False) as counter:
            owner.network(images)
        taken = best_time(lambda owner=owner, images=images: owner.network(images), place)  # type: ignore[misc]
        shares[part] = counter.get_total_flops() / taken / peak
    return shares


def train(device: str, seconds_left: float) -> None:
    """The lines of `benchmarks.training`, as far as there is time."""
    words = [sys.executable, "-m", "benchmarks.training", "--device", device, "--repeats", "3"]
    folder = Path(__file__).parents[1]
    try:
        subprocess.run(words, cwd=folder, timeout=max(1.0, seconds_left), check=True)
    except subprocess.TimeoutExpired:
        tell("training", {"stopped_after_s": seconds_left})


def tell(what: str, figures: dict[str, float]) -> None:
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    print(json.dumps({"what": what} | rounded), flush=True)


def main(words: Sequence[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=BATCH_SIZES)
    parser.add_argument("--no-training", action="store_true")
    args = parser.parse_args(words)
    end = time.monotonic() + 60 * args.minutes
    tell("largest difference from the CPU", differences(args.device))
    for batch_size in args.batch_sizes:
        if time.monotonic() < end:
            tell(f"people/s, batches of {batch_size}", rates(args.device, batch_size))
    with torch.inference_mode():
        tell("share of the roofline", roofline(args.device, max(args.batch_sizes)))
    if not args.no_training and time.monotonic() < end:
        train(args.device, end - time.monotonic())


if __name__ == "__main__":
    main()
