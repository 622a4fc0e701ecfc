"""Files of recorded poses: our own layout and the paper's smpl_train_poses.npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hierprob3d.model.body.skeleton import NUM_JOINTS
from hierprob3d.model.files.npz_files import read_arrays

_ARRAYS = ("poses", "clip", "source", "source_tier", "fnames")
_HALF_TURN_X = Rotation.from_rotvec([np.pi, 0.0, 0.0])


def existing_pose_file(path: str | Path) -> Path:
    """The path of a file of poses.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no pose file at {path}; pass one with data.train_poses=PATH")
    return path


def load_poses(
    path: str | Path, tiers: str = "A", prefixes: tuple[str, ...] = ()
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Poses (N, 24, 3) of a file, y up, and the clip (N,) that each belongs to.

    Args:
        path: npz with `poses` (N, 72) rotation vectors. With `clip` (N,) the poses of a recording
            belong together, else each is a clip of its own; with `source` (N,) and `source_tier`
            only the allowed tiers are kept. A file with `fnames` (N,) is the paper's: its pelvis
            is in the frame of a camera, y down. Other arrays are not read; none may be pickled.
        tiers: allowed letters of `source_tier`.
        prefixes: beginnings of the allowed `fnames`; none: all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such npz, or holds no finite pose that is allowed.
    """
    arrays = _read_poses(existing_pose_file(path))
    poses = arrays["poses"].reshape(-1, NUM_JOINTS, 3).astype(np.float64)
    clips = arrays.get("clip", np.arange(len(poses))).astype(np.int64)
    keep = np.isfinite(poses).all(axis=(1, 2))
    if "source" in arrays and "source_tier" in arrays:
        keep &= np.isin(arrays["source_tier"][arrays["source"]], list(tiers))
    if prefixes:
        keep &= _begins_with(path, arrays, prefixes)
    if not keep.any():
        named = f" whose name begins with {' or '.join(prefixes)}" if prefixes else ""
        raise ValueError(f"{path} has no finite poses of tier {tiers!r}{named}")
    poses, clips = poses[keep], clips[keep]
    if "fnames" in arrays:
        poses[:, 0] = camera_to_upright(poses[:, 0])
    return poses, clips


def held_back(clips: NDArray[np.int64], every: int) -> NDArray[np.bool_]:
    """(N,) whether poses of clips (N,) are of every `every`-th clip, the clips in order.

    Raises:
        ValueError: there are fewer clips, or each pose is a clip of its own, as in a file without
            `clip`: the poses next to those held back would be trained on.
    """
    names, number = np.unique(clips, return_inverse=True)
    if len(names) == len(clips):
        raise ValueError(
            "data.held_back_every needs poses that belong to clips (array `clip`), but each is a "
            "clip of its own; give other poses for validation as data.val_poses"
        )
    if len(names) < every:
        raise ValueError(
            f"data.held_back_every={every} holds back no clip of {len(names)}; choose a smaller "
            "number, or poses with more clips"
        )
    return number % every == every - 1


def camera_to_upright(pelvis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pelvis rotation vectors (N, 3) of the paper's pose files in the y-up frame.

    The half turn is multiplied from the right, as the paper's training does; from the left,
    headings and sideways leans would be the mirror images of these.
    """
    return (Rotation.from_rotvec(pelvis) * _HALF_TURN_X).as_rotvec()


def _read_poses(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in use, checked to be of one length."""
    arrays = read_arrays(path, _ARRAYS)
    poses = arrays.get("poses")
    if poses is None or poses.shape[1:] != (3 * NUM_JOINTS,) or poses.dtype.kind != "f":
        raise ValueError(f"{path} has no array 'poses' of shape (N, 72); see the README")
    for name in ("clip", "source", "fnames"):
        num_rows = len(arrays[name]) if name in arrays and arrays[name].ndim else 0
        if name in arrays and num_rows != len(poses):
            raise ValueError(f"{path}: {name} has {num_rows} rows, poses {len(poses)}")
    return arrays


def _begins_with(
    path: str | Path, arrays: dict[str, NDArray[Any]], prefixes: tuple[str, ...]
) -> NDArray[np.bool_]:
    """(N,) whether the name of each pose begins with one of `prefixes`."""
    if "fnames" not in arrays:
        raise ValueError(f"{path} has no names (fnames); leave data.pose_prefixes empty for it")
    names = arrays["fnames"].astype(str)
    return np.any([np.char.startswith(names, start) for start in prefixes], axis=0)
