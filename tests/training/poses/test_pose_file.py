from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hierprob3d.configs.training import DataConfig
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.people_setup import PoseChoice, pose_sampler
from hierprob3d.training.poses.pose_file import held_back, load_poses
from hierprob3d.training.poses.pose_sampler import PoseSampler, PoseSamplerConfig
from hierprob3d.training.random.draws import Draws


@pytest.fixture(scope="module")
def paper_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """smpl_train_poses.npz in the paper's layout: 30 people upright before a camera, y down."""
    rng = np.random.default_rng(0)
    heading = Rotation.from_rotvec(np.outer(rng.uniform(-np.pi, np.pi, 30), [0, 1, 0]))
    poses = rng.normal(0, 0.1, (30, 24, 3)).astype(np.float32)
    poses[:, 0] = (Rotation.from_rotvec([np.pi, 0, 0]) * heading).as_rotvec()
    names = [f"{('h36m', 'up3d', '3dpw', 'amass_cmu')[i % 4]}/{i:05d}.jpg" for i in range(30)]
    path = tmp_path_factory.mktemp("paper") / "smpl_train_poses.npz"
    np.savez(
        path, fnames=np.array(names), poses=poses.reshape(30, 72),
        extra=np.array([{"not": "read"}], dtype=object), shapes=np.zeros((30, 10)),
    )  # fmt: skip
    return path


def _upward(pelvis: Any) -> np.ndarray:
    """Height of the body's up axis."""
    return Rotation.from_rotvec(np.asarray(pelvis)).apply([0, 1, 0])[:, 1]


def test_people_of_the_paper_s_file_stand_upright(paper_file: Path) -> None:
    poses, clips = load_poses(paper_file)
    assert poses.shape == (30, 24, 3) and len(np.unique(clips)) == 30
    np.testing.assert_allclose(_upward(poses[:, 0]), 1, atol=1e-5)
    with np.load(paper_file) as archive:
        stored = archive["poses"].reshape(30, 24, 3)
    np.testing.assert_array_equal(poses[:, 1:], stored[:, 1:])
    turned = Rotation.from_rotvec(stored[:, 0]).as_matrix() @ np.diag([1, -1, -1])
    np.testing.assert_allclose(Rotation.from_rotvec(poses[:, 0]).as_matrix(), turned, atol=1e-6)


def test_names_choose_poses(paper_file: Path, pose_file: Path) -> None:
    assert len(load_poses(paper_file, prefixes=("h36m", "up3d", "3dpw"))[0]) == 23
    assert len(load_poses(paper_file, prefixes=("amass",))[0]) == 7
    with pytest.raises(ValueError, match="of tier 'A' whose name begins with coco or mpii"):
        load_poses(paper_file, prefixes=("coco", "mpii"))
    with pytest.raises(ValueError, match="leave data.pose_prefixes empty"):
        load_poses(pose_file, prefixes=("h36m",))


def test_our_own_files_keep_clips_tiers_and_pelvis(pose_file: Path, tmp_path: Path) -> None:
    poses, clips = load_poses(pose_file, tiers="AB")
    with np.load(pose_file) as archive:
        stored = archive["poses"]
    np.testing.assert_array_equal(poses.reshape(-1, 72), stored)
    assert np.bincount(clips).tolist() == [10] * 4
    assert len(load_poses(pose_file, tiers="B")[0]) == 20
    np.savez(tmp_path / "plain.npz", poses=stored)
    assert len(np.unique(load_poses(tmp_path / "plain.npz")[1])) == 40


def test_poses_that_are_not_numbers_are_left_out(tmp_path: Path) -> None:
    poses = np.zeros((5, 72))
    poses[2, 7] = np.nan
    np.savez(tmp_path / "poses.npz", poses=poses, fnames=np.array(["up3d"] * 5))
    assert len(load_poses(tmp_path / "poses.npz")[0]) == 4


def test_without_recombination_recorded_poses_come_as_they_are(paper_file: Path) -> None:
    sampler = PoseSampler(paper_file, PoseSamplerConfig(recombine=False))
    drawn = sampler.sample(Draws(torch.Generator().manual_seed(0)), 400)
    distance = (drawn[:, None] - sampler.poses).abs().amax((2, 3))
    assert (distance.amin(1) == 0).all()
    assert len(distance.argmin(1).unique()) == 30
    assert torch.allclose(rotvec_to_rotmat(drawn[:, 0])[:, 1, 1], torch.ones(400), atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"trans": np.zeros((3, 3))}, "no array 'poses'"),
        ({"poses": np.zeros((3, 63))}, r"of shape \(N, 72\)"),
        ({"poses": np.zeros((3, 72), int)}, r"of shape \(N, 72\)"),
        ({"poses": np.array([None, None])}, "no npz of plain arrays"),
        ({"poses": np.full((3, 72), np.nan)}, "no finite poses"),
        ({"poses": np.zeros((3, 72)), "fnames": np.array(["a", "b"])}, "fnames has 2 rows"),
        ({"poses": np.zeros((3, 72)), "clip": np.zeros(4, int)}, "clip has 4 rows"),
    ],
)
def test_wrong_files_are_one_line(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "smpl_train_poses.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as raised:
        load_poses(path)
    assert "smpl_train_poses.npz" in str(raised.value)


def test_missing_and_torn_files_are_named(paper_file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data.train_poses=PATH"):
        load_poses(tmp_path / "none.npz")
    torn = tmp_path / "torn.npz"
    torn.write_bytes(paper_file.read_bytes()[:3000])
    with pytest.raises(ValueError, match="torn.npz is no npz of plain arrays"):
        load_poses(torn)
    np.save(tmp_path / "single.npy", np.zeros((3, 72)))
    with pytest.raises(ValueError, match="single.npy is no npz of plain arrays"):
        load_poses(tmp_path / "single.npy")


def test_every_so_many_clips_are_held_back_whole() -> None:
    clips = np.array([7, 7, 2, 2, 9, 4, 4, 30])  # in order: 2 4 7 9 30
    assert held_back(clips, 2).tolist() == [False, False, False, False, True, True, True, False]
    assert held_back(clips, 5).tolist() == [False] * 7 + [True]
    with pytest.raises(ValueError, match="holds back no clip of 5"):
        held_back(clips, 6)
    with pytest.raises(ValueError, match="each is a clip of its own"):
        held_back(np.arange(40), 6)


def test_training_and_validation_draw_from_different_clips(pose_file: Path) -> None:
    data = DataConfig(
        train_poses=str(pose_file), pose_tiers="AB", held_back_every=2, recombine_poses=False
    )
    training, validation = (
        pose_sampler(data, choice).poses
        for choice in (PoseChoice.for_training(data), PoseChoice.for_validation(data))
    )
    assert len(training) == len(validation) == 20  # clips 0, 2 and 1, 3 of ten poses each
    assert not (training[:, None] == validation).flatten(2).all(-1).any()
    other = DataConfig(train_poses=str(pose_file), val_poses="val.npz")
    assert PoseChoice.for_validation(other) == PoseChoice("val.npz")
