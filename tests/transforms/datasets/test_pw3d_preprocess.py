"""Frames of a sequence that fail, and those beside them that do not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.model.people.keypoint_estimators import PersonKeypoints
from hierprob3d.model.people.person_detectors import Detections
from hierprob3d.transforms.datasets.pw3d_plan import PreprocessShard, list_sequences, new_frames
from hierprob3d.transforms.datasets.pw3d_preprocess import preprocess_shard


class Estimator:
    """Finds keypoints that tell the crop's brightness, except in dark crops."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def estimate_batch(
        self, images: Sequence[np.ndarray], people: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        if min(image.mean() for image in images) < self.threshold:
            raise RuntimeError("too dark")
        found = [np.full((1, 17, 3), image.mean(), np.float32) for image in images]
        return [PersonKeypoints(keypoints, np.ones(1, bool)) for keypoints in found]


@pytest.fixture
def config(golden: Path, golden_smpl: Path, tmp_path: Path) -> PreprocessConfig:
    sequences = tmp_path / "sequenceFiles" / "test"
    sequences.mkdir(parents=True)
    shutil.copyfile(golden / "h_pw3d/downtown_fake_00.pkl", sequences / "downtown_fake_00.pkl")
    (tmp_path / "imageFiles").symlink_to(golden / "h_pw3d/imageFiles")
    return PreprocessConfig(
        data=str(tmp_path), output=str(tmp_path / "out"), body_model=str(golden_smpl)
    )


@pytest.fixture
def shard(config: PreprocessConfig) -> PreprocessShard:
    first, *_ = new_frames(list_sequences(config.data, "test"), config, frozenset())
    return PreprocessShard.of(first)


def test_a_crop_without_keypoints_takes_no_other_with_it(
    config: PreprocessConfig, shard: PreprocessShard
) -> None:
    frames, failures = preprocess_shard(shard, config, None)
    assert not failures and not any("keypoints" in frame.labels for frame in frames)
    brightness = sorted(frame.crop.mean() for frame in frames)
    bright, failures = preprocess_shard(shard, config, Estimator(np.mean(brightness[:2])))
    assert len(bright) == len(frames) - 1 == len(shard.items) - 1
    for frame in bright:
        np.testing.assert_array_equal(frame.labels["keypoints"], np.float32(frame.crop.mean()))
    [failure] = failures
    assert (failure.stage, failure.person_index) == ("keypoints", shard.person)
    assert failure.item.item_id not in {frame.item.item_id for frame in bright}


def test_a_missing_picture_fails_its_own_frame(
    config: PreprocessConfig, shard: PreprocessShard, tmp_path: Path
) -> None:
    whole, _ = preprocess_shard(shard, config, None)
    pictures = tmp_path / "imageFiles"
    source = pictures.resolve()
    pictures.unlink()
    shutil.copytree(source, pictures, copy_function=shutil.copyfile)
    (tmp_path / shard.items[1].uri).unlink()
    frames, [failure] = preprocess_shard(shard, config, None)
    assert (failure.stage, failure.item) == ("crop", shard.items[1])
    kept = [whole[0], *whole[2:]]
    for frame, undisturbed in zip(frames, kept, strict=True):
        np.testing.assert_array_equal(frame.crop, undisturbed.crop)
        assert frame.item == undisturbed.item
