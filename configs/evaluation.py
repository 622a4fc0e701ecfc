"""What an evaluation can be told: protocols and datasets as data, and the options of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .checks import check, check_device, check_one_of
from .prediction import RefinementConfig

KEYPOINTS = ("hrnet", "movenet")
POINT_METRIC_NAMES = (
    "PVE", "PVE-SC", "PVE-PA", "PVE-T", "PVE-T-SC", "MPJPE", "MPJPE-SC", "MPJPE-PA",
)  # fmt: skip
MIN_SUFFIX = "_samples_min"
IMAGE_METRIC_NAMES = (
    "silhouette-IOU", "silhouettesamples-IOU", "joints2D-L2E", "joints2Dsamples-L2E",
)  # fmt: skip
METRIC_NAMES = (
    *POINT_METRIC_NAMES, *(name + MIN_SUFFIX for name in POINT_METRIC_NAMES), *IMAGE_METRIC_NAMES
)  # fmt: skip
"""Every metric of the paper's code, under its name there."""

_PAPER_3DPW = ("PVE", "PVE-SC", "PVE-PA", "PVE-T-SC", "MPJPE", "MPJPE-SC", "MPJPE-PA")
_PAPER_3DPW_ALL = _PAPER_3DPW + tuple(name + MIN_SUFFIX for name in _PAPER_3DPW)
_PAPER_SSP3D = (
    "PVE-PA", "PVE-T-SC", "silhouette-IOU", "joints2D-L2E", "joints2Dsamples-L2E",
    "silhouettesamples-IOU",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How distances are taken: what must be equal before two numbers may be compared."""

    name: str
    """Value of --protocol."""

    root: str
    """`origin`: both bodies stand at the body model's origin, nothing is subtracted;
    `pelvis`: each body's Human3.6M pelvis is subtracted from its points."""

    mode_among_samples: bool
    """True: the first of the N hypotheses of every `_samples_min` and of silhouettesamples-IOU is
    the mode, so that N - 1 are draws."""

    iou: str
    """`global`: pixels are summed over the set before dividing; `mean`: the mean of each
    picture's own IoU, as SSP-3D's authors recommend."""

    joint_set: str = "14 joints common to Human3.6M and LSP, regressed from the vertices"
    """What MPJPE is taken over."""

    gender_rule: str = "targets with the body model of their gender, predictions with the neutral"
    """Which body model makes which points."""

    joints2d: str = "all 17 keypoints; joints2Dsamples-L2E over N draws without the mode"
    """Which keypoints and samples the 2D distances are taken over."""


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="paper", root="origin", mode_among_samples=True, iou="global"),
        Protocol(name="spin", root="pelvis", mode_among_samples=True, iou="global"),
        Protocol(name="mean-iou", root="origin", mode_among_samples=True, iou="mean"),
    )
}
"""`paper` does what the paper's code does; the others change one thing each."""


@dataclass(frozen=True, kw_only=True)
class DatasetRules:
    """How the pictures and keypoints of a dataset enter the network, as in the paper's code."""

    name: str
    """Value of --dataset."""

    rounding: Literal["none", "round", "truncate"]
    """How heatmap centres are snapped to pixels: none, round or truncate."""

    keypoint_threshold: float | None
    """Confidence above which limb keypoints are drawn; None = all are."""

    keeps_trunk: bool
    """Whether face, shoulders and hips are drawn whatever their confidence, as in the paper; open
    networks are trained without."""

    genders: tuple[tuple[str, str], ...]
    """Label of the dataset and gender of the body model, for each that is admitted."""

    metrics: tuple[str, ...]
    """Metrics taken when none are named."""

    silhouettes: bool
    """Whether there are silhouettes."""


DATASETS = {
    rules.name: rules
    for rules in (
        DatasetRules(
            name="3dpw",
            rounding="round",
            keypoint_threshold=0.6,
            keeps_trunk=True,
            genders=(("m", "male"), ("f", "female")),
            metrics=_PAPER_3DPW_ALL,
            silhouettes=False,
        ),
        DatasetRules(
            name="ssp3d",
            rounding="truncate",
            keypoint_threshold=None,
            keeps_trunk=True,
            genders=(("m", "male"), ("f", "female")),
            metrics=_PAPER_SSP3D,
            silhouettes=True,
        ),
        DatasetRules(
            name="synthetic",
            rounding="none",
            keypoint_threshold=0.5,
            keeps_trunk=False,
            genders=(("n", "neutral"), ("m", "male"), ("f", "female")),
            metrics=tuple(dict.fromkeys(_PAPER_3DPW_ALL + _PAPER_SSP3D)),
            silhouettes=True,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Everything that `hierprob3d evaluate` can be told."""

    dataset: str
    """3dpw, ssp3d or synthetic."""

    data: str
    """Folder of the dataset, local or any fsspec path. 3DPW: as written by preprocess-3dpw, or
    raw (sequenceFiles, imageFiles)."""

    output: str
    """Folder of the results."""

    split: str = "test"
    """3DPW's part: train, validation or test."""

    body_model: str = "open"
    """`open` or the folder that holds SMPL_NEUTRAL.pkl, SMPL_MALE.pkl and SMPL_FEMALE.pkl."""

    weights: str | None = None
    """Distribution network; None = the bundled open weights."""

    protocol: str = "paper"
    """Name of one of PROTOCOLS."""

    metrics: tuple[str, ...] = ()
    """Members of METRIC_NAMES; empty = those of the dataset."""

    num_samples: int = 10
    """Hypotheses per person of the sample metrics."""

    best_of: tuple[int, ...] = ()
    """Also the best of the first N hypotheses, for these N."""

    keypoints: str = "hrnet"
    """Of 3DPW, who found the keypoints: hrnet (hrnet_results_centred.npy, as in the paper) or
    movenet (movenet_results_centred.npy). The other datasets carry theirs."""

    keypoint_weights: str | None = None
    """HRNet's weights, needed where raw 3DPW is preprocessed first."""

    keypoint_threshold: float | None = None
    """Confidence above which limb keypoints are drawn; None = the dataset's rule, for MoveNet's
    keypoints 0.3."""

    refine: bool = False
    """True: the mode's place, also among the hypotheses, is taken by the body moved onto the
    confident keypoints (of SSP-3D, all). Likelihood, calibration, draws and the columns pose_mode,
    global_rotmat, shape_mean and camera stay the network's."""

    keypoint_error: float = RefinementConfig.keypoint_error
    """With `refine`: see RefinementConfig."""

    seed: int = 0
    """Seed of all draws; a person's draws depend on it and the name of the picture alone."""

    batch_size: int = 16
    """Persons per network call. Batches begin at multiples of it, whatever the shards, so that
    every sharding gives the same numbers."""

    shard_size: int = 128
    """Rows of the dataset per shard, the unit of work and of commit; rounded up to batches."""

    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda or cuda:N."""

    limit: int | None = None
    """Only the first rows of the dataset."""

    retry_failed: bool = False
    """Do again what an earlier run ended with an error row."""

    overwrite: bool = False
    """Do all rows again."""

    max_failed_ratio: float = 0.5
    """Share of failed rows above which the exit code is 1."""

    def __post_init__(self) -> None:
        RefinementConfig(refine=self.refine, keypoint_error=self.keypoint_error)  # checks it
        check_one_of("--dataset", self.dataset, tuple(DATASETS))
        check_one_of("--protocol", self.protocol, tuple(PROTOCOLS))
        check_device(self.device)
        check_one_of("--keypoints", self.keypoints, KEYPOINTS)
        check_one_of("--split", self.split, ("train", "validation", "test"))
        for name in self.metrics:
            check_one_of("--metrics", name, METRIC_NAMES)
        for name in (
            "num_samples",
            "batch_size",
            "shard_size",
            *(() if self.limit is None else ("limit",)),
        ):
            value = getattr(self, name)
            check(value >= 1, f"--{name.replace('_', '-')} must be at least 1, got {value}")
        check(all(n >= 1 for n in self.best_of), f"--best-of needs numbers above 0: {self.best_of}")
        check(0 <= self.max_failed_ratio <= 1, "--max-failed-ratio must lie between 0 and 1")
        silhouette = [name for name in self.metrics if "silhouette" in name]
        check(
            self.rules.silhouettes or not silhouette,
            f"{', '.join(silhouette)} need silhouettes, which {self.dataset} has not",
        )

    @property
    def rules(self) -> DatasetRules:
        """Rules of the dataset."""
        return DATASETS[self.dataset]

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics taken."""
        return self.metrics or self.rules.metrics

    @property
    def needs_joints(self) -> bool:
        """Whether Human3.6M's joints are needed, hence the regressor that SMPL comes without."""
        of_joints = any(name.startswith("MPJPE") for name in self.metric_names)
        return of_joints or PROTOCOLS[self.protocol].root == "pelvis"

    @property
    def num_hypotheses(self) -> int:
        """Hypotheses drawn per person: enough for the sample metrics and every best-of-N."""
        return max(self.num_samples, *self.best_of, 1)

    @property
    def rows_per_shard(self) -> int:
        """Shard size as a multiple of the batch size."""
        return -(-self.shard_size // self.batch_size) * self.batch_size
