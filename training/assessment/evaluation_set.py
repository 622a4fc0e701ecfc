"""The synthetic evaluation set: pictures with true bodies that anyone can make anew.

    python -m hierprob3d.training.assessment.evaluation_set --output DIR [--num 256] [--seed 2110]

Everything it needs is bundled and none of it is used in training: held-back poses, drawn
backgrounds, OpenBody. The same number and seed give the same set. Its layout is SSP-3D's
(labels.npz, images/, silhouettes/), so that it is read by the same code.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.files.weight_files import whole_files
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.model.rotation.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.people.synthetic_pictures import SyntheticBatch, SyntheticPeople
from hierprob3d.training.poses.pose_sampler import PoseSampler
from hierprob3d.training.random.draws import Draws, seeded_generator

HELDBACK_POSES = Path(__file__).parents[1] / "assets" / "heldback_poses.npz"
NUM_PICTURES = 256
SEED = 2110
KEYPOINT_NOISE_PX = 2.0
"""Standard deviation of the given keypoints about the true ones, px of the crop; a trained
keypoint network does about as well on visible joints."""
CONFIDENCE_SEEN, CONFIDENCE_HIDDEN = 0.9, 0.1

_CHUNK = 16


def make_evaluation_set(folder: str | Path, num: int = NUM_PICTURES, seed: int = SEED) -> Path:
    """Renders the set unless the folder has it already; labels.npz is written last.

    Args:
        folder: where it goes.
        num: number of pictures.
        seed: decides everything else.

    Returns:
        The folder.

    Raises:
        ValueError: the folder holds another set.
    """
    folder = Path(folder)
    description = {"pictures": num, "seed": seed, "layout": "SSP-3D", "body": "open, neutral"}
    if (folder / "labels.npz").exists():
        _check_same_set(folder, description)
        return folder
    for name in ("images", "silhouettes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    labels = [
        _write_chunk(folder, start, batch, draws) for start, batch, draws in _batches(num, seed)
    ]
    arrays = {name: np.concatenate([label[name] for label in labels]) for name in labels[0]}
    (folder / "description.json").write_text(json.dumps(description, indent=2))
    with whole_files([folder / "labels.npz"]) as [unfinished], unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return folder


def _batches(num: int, seed: int) -> Iterator[tuple[int, SyntheticBatch, Draws]]:
    """(first row, pictures, draws) of each chunk, which depends on the seed and itself only."""
    body = load_body("open")
    people = SyntheticPeople(body, PoseSampler(HELDBACK_POSES), Backgrounds(None))
    for start in range(0, num, _CHUNK):
        generator = seeded_generator("cpu", seed, start)
        yield start, people.sample(generator, min(_CHUNK, num - start)), Draws(generator)


def _write_chunk(
    folder: Path, start: int, batch: SyntheticBatch, draws: Draws
) -> dict[str, np.ndarray]:
    """Writes pictures and silhouettes; the labels that belong to them."""
    num = len(batch.rgb)
    names = np.array([f"{start + i:05d}.png" for i in range(num)])
    images = (batch.rgb.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).byte().numpy()
    for name, image, mask in zip(names, images, batch.silhouette.numpy(), strict=True):
        _write_png(folder / "images" / name, image[..., ::-1])
        _write_png(folder / "silhouettes" / name, mask.astype(np.uint8) * 255)
    return {
        "fnames": names,
        "shapes": batch.betas.numpy().astype(np.float64),
        "poses": _camera_poses(batch.rotvecs),
        "joints2D": _given_keypoints(batch, draws),
        "bbox_centres": np.full((num, 2), PROXY_SIZE / 2),
        "bbox_whs": np.full(num, PROXY_SIZE / BOX_SCALE_FACTOR),  # readers enlarge it again
        "genders": np.full(num, "n"),
    }


def _camera_poses(rotvecs: torch.Tensor) -> np.ndarray:
    """(B, 72) float64 rotation vectors with the pelvis turned into the camera frame."""
    pelvis = rotvec_to_rotmat(rotvecs[:, 0].double())
    turned = half_turn_x(pelvis.mT).mT
    rotvecs = torch.cat([rotmat_to_rotvec(turned)[:, None], rotvecs[:, 1:].double()], 1)
    return rotvecs.flatten(1).numpy()


def _given_keypoints(batch: SyntheticBatch, draws: Draws) -> np.ndarray:
    """(B, 17, 3) keypoints as a network might find them: noisy, hidden ones with low confidence."""
    joints2d = batch.joints2d + draws.normal(KEYPOINT_NOISE_PX, *batch.joints2d.shape)
    unseen = (batch.hidden | batch.outside).numpy()
    confidence = np.where(unseen, CONFIDENCE_HIDDEN, CONFIDENCE_SEEN)
    return np.concatenate([joints2d.numpy(), confidence[..., None]], -1)


def _write_png(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f"{path} cannot be written.")


def _check_same_set(folder: Path, description: dict) -> None:
    path = folder / "description.json"
    found = json.loads(path.read_text()) if path.exists() else None
    if found != description:
        raise ValueError(
            f"{folder} holds another set ({found}), not {description}: choose another folder."
        )


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--num", type=int, default=NUM_PICTURES, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N")
    args = parser.parse_args()
    print(make_evaluation_set(args.output, args.num, args.seed))


if __name__ == "__main__":
    main()
