"""What an evaluation can be told: protocols and datasets as data, and the options of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from .checks import RASTERIZERS, check, check_at_least, check_choices, check_device, check_renderer
from .metric_table import METRIC_NAMES, MIN_SUFFIX
from .option import DEVICE, Option
from .outcome import OutcomeConfig
from .prediction import RefinementConfig

KEYPOINTS = ("hrnet", "file", "movenet", "blazepose")
SPLITS = ("train", "validation", "test")
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
            name="npz",
            rounding="none",
            keypoint_threshold=0.0,
            keeps_trunk=False,
            genders=(("n", "neutral"), ("m", "male"), ("f", "female")),
            metrics=(*_PAPER_3DPW_ALL, "joints2D-L2E", "joints2Dsamples-L2E"),
            silhouettes=False,
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
class CompareConfig:
    """Instead of an evaluation: two finished ones are compared."""

    compare: Annotated[tuple[str, str], Option(metavar="A B")]
    """Compare two finished evaluations, with paired bootstrap intervals; nothing is run."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(OutcomeConfig):
    """Evaluate a network on 3DPW, SSP-3D or a synthetic set: metrics of modes and distributions.

    Rows of metrics are Parquet below --output, totals are in metrics.json, tables in evaluation.md
    and evaluation.html. The same command again does only what is missing.
    """

    dataset: Annotated[str, Option(choices=tuple(DATASETS), also=("-D",))]
    """Which dataset --data holds."""

    data: Annotated[str, Option(metavar="DIR|FILE")]
    """Folder of the dataset, local or any fsspec path. 3DPW: as written by preprocess-3dpw, or
    raw (sequenceFiles, imageFiles). A synthetic one is made if it is not there. For npz the
    annotation file, with imgname, center, scale and what truth it has (docs/evaluate_npz.md)."""

    output: Annotated[str, Option(metavar="DIR")]
    """Folder of the results."""

    images: Annotated[str | None, Option(metavar="DIR", heading="data")] = None
    """For npz, the folder below which the pictures named by imgname lie."""

    split: Annotated[str, Option(choices=SPLITS)] = "test"
    """Part of 3DPW."""

    limit: int | None = None
    """Only the first N rows of the dataset."""

    body_model: Annotated[str, Option(metavar="open|DIR", heading="models")] = "open"
    """The bundled OpenBody (open), or the folder that holds SMPL_NEUTRAL.pkl, SMPL_MALE.pkl and
    SMPL_FEMALE.pkl."""

    weights: Annotated[
        str | None, Option(metavar="PATH", also=("-W3D", "--pose_shape_weights"))
    ] = None
    """Distribution network: our safetensors or the paper's .tar; the bundled one where none is
    given."""

    pose_shape_cfg: Annotated[str | None, Option(metavar="FILE")] = None
    """The paper's pose_shape_cfg.yaml: its MODEL and DATA decide edges and heatmaps."""

    keypoints: Annotated[str, Option(choices=KEYPOINTS)] = "hrnet"
    """Of 3DPW, who found the keypoints: hrnet (hrnet_results_centred.npy, as in the paper), movenet
    or blazepose (files of their names). Of npz, who finds them: movenet, blazepose, hrnet (with
    --keypoint-weights), or file: its openpose or else part. The other datasets carry theirs."""

    keypoint_weights: Annotated[str | None, Option(metavar="PATH")] = None
    """HRNet's weights, needed for npz, and where raw 3DPW is preprocessed first."""

    keypoint_threshold: float | None = None
    """Confidence above which limb keypoints are drawn; otherwise the dataset's rule (0.6 for 3DPW,
    none for SSP-3D), for MoveNet's keypoints 0.3, for BlazePose's 0.5."""

    device: Annotated[str, DEVICE] = "auto"
    """Where networks compute: auto (cuda where there is one), cpu, cuda or cuda:N."""

    protocol: Annotated[str, Option(choices=tuple(PROTOCOLS), heading="metrics")] = "paper"
    """How distances are taken."""

    metrics: Annotated[tuple[str, ...], Option(choices=METRIC_NAMES, metavar="LIST")] = ()
    """Metrics by name, separated by commas; otherwise those of the dataset."""

    num_samples: Annotated[int, Option(also=("-N",))] = 10
    """Hypotheses per person of the sample metrics."""

    best_of: Annotated[tuple[int, ...], Option(metavar="LIST")] = ()
    """Also the best of the first N hypotheses, for these N, such as 1,5,10,100."""

    refine: bool = False
    """True: the mode's place, also among the hypotheses, is taken by the body moved onto the
    confident keypoints (of SSP-3D, all). Likelihood, calibration, draws and the columns pose_mode,
    global_rotmat, shape_mean and camera stay the network's."""

    keypoint_error: Annotated[float, Option(needs="refine")] = RefinementConfig.keypoint_error
    """Factor on the size of the keypoints' errors, as for prediction."""

    renderer: Annotated[str, Option(choices=RASTERIZERS)] = "torch"
    """What rasterizes silhouettes: torch, our own, or pytorch3d, the paper's, where it is
    installed."""

    per_frame_files: bool = False
    """True: also <metric>_per_frame.npy, and fname, pose, shape and cam, as the paper's code
    writes them."""

    seed: int = 0
    """Seed of all draws; a person's draws depend on it and the name of the picture alone."""

    shard_size: Annotated[int, Option(heading="run")] = 128
    """Rows of the dataset per shard, the unit of work and of commit; rounded up to batches."""

    batch_size: int = 16
    """Persons per network call. Batches begin at multiples of it, whatever the shards, so that
    every sharding gives the same numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        RefinementConfig(refine=self.refine, keypoint_error=self.keypoint_error)  # checks it
        check_choices(self)
        check_device(self.device)
        check_renderer(self.renderer)
        check_at_least(self, 1, "--num-samples", "--batch-size", "--shard-size", "--limit")
        check(all(n >= 1 for n in self.best_of), f"--best-of needs numbers above 0: {self.best_of}")
        object.__setattr__(self, "best_of", tuple(sorted(set(self.best_of))))
        self._check_annotation_file()
        silhouette = [name for name in self.metrics if "silhouette" in name]
        check(
            self.rules.silhouettes or not silhouette,
            f"{', '.join(silhouette)} need silhouettes, which {self.dataset} has not",
        )

    def _check_annotation_file(self) -> None:
        is_npz = self.dataset == "npz"
        check(is_npz or self.images is None, "--images is for --dataset npz only")
        check(is_npz or self.keypoints != "file", "--keypoints file is for --dataset npz only")
        check(
            not is_npz or self.images is not None,
            "--dataset npz needs --images, the folder below which the pictures of --data lie",
        )
        check(
            not is_npz or self.keypoints != "hrnet" or self.keypoint_weights is not None,
            "--dataset npz needs keypoints for the network: give --keypoints movenet, --keypoints "
            "file (openpose or part of --data), or --keypoint-weights for HRNet's",
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
