"""Speed of people and keypoints by MoveNet: batches against single pictures, side by side.

"Float" is the plain way to prepare a picture: the whole of it turned to float, then resized.
Run: python -m benchmarks.detection
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmarks.timing import seconds
from PIL import Image
from torch.nn import functional

from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints
from hierprob3d.model.people.person_detectors import MAX_WORKING_SIDE, MoveNetDetector
from hierprob3d.model.picture.pixels import picture_to_tensor, resize_picture, shrink_picture

ASTRONAUT = Path(__file__).parents[1] / "model" / "assets" / "demo" / "astronaut.png"
SIDES = (256, 384)


def prepare_as_float(image: np.ndarray) -> None:
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    for side in SIDES:
        functional.interpolate(picture, (side, side), mode="bilinear", antialias=True).round()


def prepare_as_uint8(image: np.ndarray) -> None:
    picture = shrink_picture(picture_to_tensor(image), MAX_WORKING_SIDE)
    for side in SIDES:
        resize_picture(picture, side, side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-pictures", type=int, default=8)
    parser.add_argument("--side", type=int, default=4472, help="px; 4472 squared is 20 megapixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)

    photo = Image.open(ASTRONAUT).convert("RGB")
    pictures = [np.array(photo)] * args.num_pictures
    large = np.array(photo.resize((args.side, args.side)))
    detector = MoveNetDetector(device=args.device)
    estimator = MoveNetKeypoints(device=args.device)
    people = detector.detect_batch(pictures)
    pairs = list(zip(pictures, people, strict=True))

    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"detect {args.num_pictures} pictures: one by one / batch": (
            lambda: [detector.detect(picture) for picture in pictures],
            lambda: detector.detect_batch(pictures),
        ),
        f"keypoints of {args.num_pictures} people: one by one / batch": (
            lambda: [estimator.estimate(picture, found) for picture, found in pairs],
            lambda: estimator.estimate_batch(pictures, people),
        ),
        f"prepare a {args.side} px picture: float / uint8": (
            lambda: prepare_as_float(large),
            lambda: prepare_as_uint8(large),
        ),
    }
    for name, (plain, ours) in cases.items():
        before, after = seconds(plain, args.repeats), seconds(ours, args.repeats)
        print(f"{name}: {before:.3f} s / {after:.3f} s = {before / after:.2f} x")


if __name__ == "__main__":
    main()
