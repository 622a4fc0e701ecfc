"""What the preprocessing of 3DPW can be told."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import check, check_device, check_one_of

KEYPOINTS = ("movenet", "hrnet")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """Everything that `hierprob3d preprocess-3dpw` can be told."""

    data: str
    """3DPW's folder, with sequenceFiles/ and imageFiles/; any fsspec path."""

    output: str
    """Folder of labels and crops."""

    body_model: str
    """Folder that holds SMPL_MALE.pkl and SMPL_FEMALE.pkl (or `open`, for trials: 3DPW's shapes
    mean nothing on another body)."""

    split: str = "test"
    """Which of 3DPW's parts: train, validation or test."""

    keypoints: str | None = None
    """movenet or hrnet also finds the COCO keypoints of each crop; None = no keypoint file."""

    keypoint_weights: str | None = None
    """HRNet's pose_hrnet_w48_384x288.pth."""

    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda or cuda:N; only keypoints use it."""

    shard_size: int = 64
    """Frames of one person per shard, the unit of work and of commit."""

    limit: int | None = None
    """At most this many new frames in this run."""

    retry_failed: bool = False
    """Do again what an earlier run ended with an error row."""

    overwrite: bool = False
    """Do everything again."""

    max_failed_ratio: float = 0.5
    """Share of failed frames above which the exit code is 1."""

    def __post_init__(self) -> None:
        check_one_of("--split", self.split, SPLITS)
        check_device(self.device)
        if self.keypoints is not None:
            check_one_of("--keypoints", self.keypoints, KEYPOINTS)
        check(
            self.keypoints != "hrnet" or self.keypoint_weights is not None,
            "--keypoints hrnet needs --keypoint-weights, the path of pose_hrnet_w48_384x288.pth",
        )
        check(self.shard_size >= 1, f"--shard-size must be at least 1, got {self.shard_size}")
        check(self.limit is None or self.limit >= 1, f"--limit must be at least 1: {self.limit}")
        check(0 <= self.max_failed_ratio <= 1, "--max-failed-ratio must lie between 0 and 1")
