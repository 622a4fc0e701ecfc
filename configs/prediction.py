"""What a prediction run can be told, in one place; dumped whole into the run's manifest."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .checks import check, check_device, check_one_of

GENDERS = ("neutral", "male", "female")
DETECTORS = ("movenet", "maskrcnn", "none")
KEYPOINTS = ("movenet", "hrnet")
PEOPLE = ("all", "centre")
SAVES = ("samples", "vertices", "vertex_spread")
PICTURES = ("crops", "uncropped", "samples")


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Which pictures and video frames are read."""

    inputs: tuple[str, ...]
    """Files, folders (searched whole), globs, lists (.txt, .csv, .parquet), any fsspec path."""

    frame_step: int = 1
    """Of a video, every N-th frame is annotated."""

    fps: float | None = None
    """Of a video, this many frames per second are annotated, instead of `frame_step`."""

    limit: int | None = None
    """At most this many new pictures and frames are annotated in this run; None = all."""

    max_megapixels: float = 100.0
    """Larger pictures become error rows before they are decoded (300 MB of memory at 100)."""

    check_sources: bool = False
    """Also pictures that a list names are asked for their version, one request each, so that those
    changed since an earlier run are done again; what folders hold is compared without."""

    def __post_init__(self) -> None:
        check(bool(self.inputs), "inputs must name at least one file or folder")
        check(all(self.inputs), "an INPUT is empty; write ./ for the current folder")
        check(self.frame_step >= 1, f"--frame-step must be at least 1, got {self.frame_step}")
        check(self.fps is None or self.fps > 0, f"--fps must be above 0, got {self.fps}")
        check(self.fps is None or self.frame_step == 1, "--fps and --frame-step exclude each other")
        check(self.limit is None or self.limit >= 1, f"--limit must be at least 1: {self.limit}")
        check(self.max_megapixels > 0, "--max-megapixels must be above 0")


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """Which networks and body model are used, and where they compute."""

    body_model: str = "open"
    """`open` (the bundled OpenBody), an SMPL file, or the folder that holds SMPL_NEUTRAL.pkl ..."""

    gender: str = "neutral"
    """Body model of everybody: neutral, male or female."""

    weights: str | None = None
    """Distribution network: our safetensors or the paper's .tar; None = the bundled weights."""

    detector: str = "movenet"
    """Person detector: movenet, maskrcnn, or none = the pictures are cropped and centred."""

    detector_weights: str | None = None
    """Weights of the detector; None = MoveNet's bundled ones, for Mask R-CNN torchvision's own
    download."""

    detector_threshold: float | None = None
    """Score above which a detection counts as a person; None = that of the detector (0.2 MoveNet,
    0.95 Mask R-CNN, as in the paper's code)."""

    keypoints: str = "movenet"
    """Keypoint model: movenet (bundled) or hrnet (needs `keypoint_weights`)."""

    keypoint_weights: str | None = None
    """HRNet's pose_hrnet_w48_384x288.pth."""

    keypoint_threshold: float | None = None
    """Confidence above which limb keypoints count as visible; None = that of the keypoint model
    (0.3 MoveNet, 0.75 HRNet)."""

    people: str = "all"
    """`all`, or `centre`: only the person nearest to the middle, as the paper's code does."""

    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        check_one_of("--gender", self.gender, GENDERS)
        check_one_of("--detector", self.detector, DETECTORS)
        check_one_of("--keypoints", self.keypoints, KEYPOINTS)
        check_one_of("--people", self.people, PEOPLE)
        check_device(self.device)
        check(
            self.keypoints != "hrnet" or self.keypoint_weights is not None,
            "--keypoints hrnet needs --keypoint-weights, the path of pose_hrnet_w48_384x288.pth",
        )
        for name in ("keypoint_threshold", "detector_threshold"):
            threshold = getattr(self, name)
            check(
                threshold is None or 0 <= threshold <= 1,
                f"--{name.replace('_', '-')} must lie between 0 and 1, got {threshold}",
            )


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the distributions become samples and spreads."""

    num_samples: int = 50
    """Body samples per person; every spread in metres is computed from them."""

    uncertainty: bool = True
    """False: no samples and no spread in metres. Closed-form columns stay."""

    paper_rule: bool = False
    """True: vertices of samples use the mean shape and the mode's global rotation, as the paper's
    code does; False: the shape is sampled too (spreads 5 to 6 % larger), and the global rotation
    where the weights give it a distribution."""

    seed: int = 0
    """Seed of all draws. A person's draws depend on it, the item and the person's index alone."""

    save: frozenset[str] = field(default_factory=frozenset)
    """Additional columns: samples, vertices, vertex_spread."""

    def __post_init__(self) -> None:
        check(self.num_samples >= 1, f"--num-samples must be at least 1, got {self.num_samples}")
        check(0 <= self.seed < 2**63, f"--seed must lie in 0 .. 2**63 - 1, got {self.seed}")
        for name in self.save:
            check_one_of("--save", name, SAVES)
        for name in ("samples", "vertex_spread"):
            check(
                self.uncertainty or name not in self.save,
                f"--save {name} and --no-uncertainty exclude each other",
            )


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """Whether bodies are also moved onto the keypoints found."""

    refine: bool = False
    """True: columns refined_*, the most probable body given the distribution and the keypoints."""

    keypoint_error: float = 1.0
    """Factor on the size of the keypoints' errors: at 1 they are how far COCO's annotators differ,
    and 2 px of the crop. Smaller draws bodies nearer to the keypoints, which with exact keypoints
    is better in 3D too; with a detector's it is worse."""

    def __post_init__(self) -> None:
        check(
            0.01 <= self.keypoint_error <= 100,
            f"--keypoint-error must lie between 0.01 and 100, got {self.keypoint_error}",
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where results go, how the work is cut, and what happens to earlier results."""

    output: str
    """Folder of the results, created if needed; any fsspec path."""

    shard_size: int | None = None
    """Pictures or frames per shard, the unit of work and of commit; None = chosen so that every
    worker gets several and at most 32."""

    batch_size: int = 16
    """Pictures decoded at once and people per network call: what memory depends on."""

    visualise: frozenset[str] = field(default_factory=frozenset)
    """Pictures to draw: crops, uncropped, samples."""

    retry_failed: bool = False
    """Do again what earlier runs ended with an error row."""

    overwrite: bool = False
    """Do all inputs again; earlier rows of what is done again are replaced."""

    dry_run: bool = False
    """Say what would be done, check all options and models, write nothing."""

    max_failed_ratio: float = 0.5
    """Share of failed items above which the exit code is 1."""

    time_limit_per_item: float = 300.0
    """Seconds after which a picture or frame becomes an error row, so that the others go on."""

    def __post_init__(self) -> None:
        check(bool(self.output), "--output must name a folder")
        check(
            self.shard_size is None or self.shard_size >= 1,
            f"--shard-size must be at least 1, got {self.shard_size}",
        )
        check(self.batch_size >= 1, f"--batch-size must be at least 1, got {self.batch_size}")
        for name in self.visualise:
            check_one_of("--visualise", name, PICTURES)
        check(
            0 <= self.max_failed_ratio <= 1,
            f"--max-failed-ratio must lie between 0 and 1, got {self.max_failed_ratio}",
        )
        check(
            0 < self.time_limit_per_item < math.inf,
            f"--time-limit-per-item must be a number above 0, got {self.time_limit_per_item}",
        )


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Everything that `hierprob3d predict` can be told."""

    source: SourceConfig
    models: ModelsConfig
    sampling: SamplingConfig
    refinement: RefinementConfig
    run: RunConfig

    def __post_init__(self) -> None:
        check(
            "samples" not in self.run.visualise or self.sampling.uncertainty,
            "--visualise samples and --no-uncertainty exclude each other",
        )
