"""What the preprocessing of 3DPW can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .checks import check_at_least, check_choices, check_device
from .evaluation import SPLITS
from .option import DEVICE, Option
from .outcome import OutcomeConfig
from .prediction import KEYPOINTS, check_hrnet


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig(OutcomeConfig):
    """Preprocess 3DPW: a crop and labels of every person in every frame with a valid camera.

    Writes the paper's 3dpw_<split>.npz and cropped_frames/*.png below --output, the same labels and
    more as Parquet, and with --keypoints the keypoint file that evaluation needs. The same command
    again does only what is missing.
    """

    data: Annotated[str, Option(metavar="DIR", also=("--dataset_path",))]
    """Folder of 3DPW, with sequenceFiles/ and imageFiles/; any fsspec path."""

    output: Annotated[str, Option(metavar="DIR", also=("--out_path",))]
    """Folder of labels and crops."""

    body_model: Annotated[str, Option(metavar="DIR")]
    """Folder that holds SMPL_MALE.pkl and SMPL_FEMALE.pkl (or open, for trials: 3DPW's shapes mean
    nothing on another body)."""

    split: Annotated[str, Option(choices=SPLITS)] = "test"
    """Which of 3DPW's parts."""

    keypoints: Annotated[str | None, Option(choices=KEYPOINTS)] = None
    """Also find the COCO keypoints of each crop; no keypoint file where it is not given."""

    keypoint_weights: Annotated[str | None, Option(metavar="PATH")] = None
    """Weights of the keypoint model, such as HRNet's pose_hrnet_w48_384x288.pth."""

    device: Annotated[str, DEVICE] = "auto"
    """Where the keypoint model computes: auto (cuda where there is one), cpu, cuda or cuda:N."""

    shard_size: int = 64
    """Frames of one person per shard, the unit of work and of commit."""

    limit: int | None = None
    """At most N new frames in this run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)
        check_device(self.device)
        check_hrnet(self.keypoints, self.keypoint_weights)
        check_at_least(self, 1, "--shard-size", "--limit")
