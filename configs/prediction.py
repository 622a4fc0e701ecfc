"""What a prediction run can be told, in one place; dumped whole into the run's manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .checks import (
    PAINTERS,
    check,
    check_above_zero,
    check_at_least,
    check_choices,
    check_device,
    check_renderer,
    check_shares,
)
from .option import DEVICE, Option, Shortcut
from .outcome import OutcomeConfig

GENDERS = ("neutral", "male", "female")
HEIGHTS_M = (0.4, 2.8)
"""Of people, as they may be given."""
DETECTORS = ("movenet", "maskrcnn", "none")
KEYPOINTS = ("movenet", "blazepose", "hrnet")
PEOPLE = ("all", "centre")
ENGINES = ("auto", "torch", "onnx", "openvino")
SAVES = ("samples", "vertices", "vertex_spread", "intersections")
NUM_REDRAWS = 10
"""How often a sample that intersects itself is drawn again; one that does even then stays."""

PICTURES = ("crops", "figure", "uncropped", "samples")
PICTURE_FORMATS = ("jpg", "png")
HRNET = Shortcut(
    names=("-W2D", "--pose2D_hrnet_weights"),
    value="{}",
    metavar="PATH",
    implies=(("keypoints", "hrnet"),),
)
"""The paper's code knows no other keypoint model, so its option also chooses HRNet."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Which pictures and video frames are read."""

    inputs: Annotated[
        tuple[str, ...],
        Option(
            metavar="INPUT",
            positional=True,
            shortcuts=(Shortcut(names=("-I", "--image_dir"), value="{}", metavar="DIR"),),
        ),
    ]
    """Picture, video, folder (searched whole), glob, list (.txt, .csv or .parquet with a column
    uri), or .tar of pictures; any fsspec path."""

    frame_step: Annotated[int, Option(heading="inputs")] = 1
    """Of a video, every N-th frame is annotated."""

    fps: float | None = None
    """Of a video, X frames per second are annotated, instead of every N-th."""

    limit: int | None = None
    """At most N new pictures and frames are annotated in this run; all where it is not given."""

    max_megapixels: float = 100.0
    """Larger pictures become error rows before they are decoded."""

    focal_length: Annotated[float | None, Option(metavar="PX")] = None
    """Focal length of all pictures, px of the picture, for the distance of people from the camera
    (column translation); otherwise what a picture's EXIF tells, or its diagonal."""

    known_height: Annotated[float | None, Option(metavar="METRES")] = None
    """Height of everybody, but for those whose height_m a list gives: the most probable shapes of
    that height, and cameras and distances to match."""

    check_sources: bool = False
    """Also pictures that a list names are asked for their version, one request each, so that those
    changed since an earlier run are done again; what folders hold is compared without."""

    def __post_init__(self) -> None:
        check(bool(self.inputs), "give at least one INPUT: a picture, video, folder, glob or list")
        check(all(self.inputs), "an INPUT is empty; write ./ for the current folder")
        check_at_least(self, 1, "--frame-step", "--limit")
        check_above_zero(self, "--fps", "--max-megapixels", "--focal-length")
        low, high = HEIGHTS_M
        check(
            self.known_height is None or low <= self.known_height <= high,
            f"--known-height must be metres, {low} to {high}, got {self.known_height}",
        )
        check(self.fps is None or self.frame_step == 1, "--fps and --frame-step exclude each other")


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """Which networks and body model are used, and where they compute."""

    body_model: Annotated[str, Option(metavar="open|PATH")] = "open"
    """The bundled OpenBody (open), an SMPL file, or the folder that holds SMPL_NEUTRAL.pkl ..."""

    gender: Annotated[str, Option(choices=GENDERS, also=("-G",))] = "neutral"
    """Body model of everybody."""

    weights: Annotated[
        str | None, Option(metavar="PATH", also=("-W3D", "--pose_shape_weights"))
    ] = None
    """Distribution network: our safetensors or the paper's .tar; the bundled one where none is
    given."""

    pose_shape_cfg: Annotated[str | None, Option(metavar="FILE")] = None
    """The paper's pose_shape_cfg.yaml: its MODEL and DATA decide edges, heatmaps, box and its
    threshold."""

    detector: Annotated[
        str,
        Option(
            choices=DETECTORS,
            shortcuts=(Shortcut(names=("--cropped-images", "-C"), value="none"),),
        ),
    ] = "movenet"
    """Person detector; none: the pictures are cropped and centred."""

    detector_weights: Annotated[str | None, Option(metavar="PATH")] = None
    """Weights of the detector; MoveNet's are bundled, for Mask R-CNN torchvision downloads its
    own where none are given."""

    detector_threshold: float | None = None
    """Score above which a detection counts as a person (0.2 for MoveNet; 0.95 for Mask R-CNN, as in
    the paper's code)."""

    keypoints: Annotated[str, Option(choices=KEYPOINTS)] = "blazepose"
    """Keypoint model; blazepose (heavy, with 33 landmarks) and movenet (thunder) are bundled, hrnet
    needs --keypoint-weights."""

    keypoint_weights: Annotated[str | None, Option(metavar="PATH", shortcuts=(HRNET,))] = None
    """Weights of the keypoint model, such as HRNet's pose_hrnet_w48_384x288.pth."""

    keypoint_threshold: Annotated[
        float | None, Option(also=("-T", "--joints2Dvisib_threshold"))
    ] = None
    """Confidence above which limb keypoints count as visible (0.3 for MoveNet, 0.5 for BlazePose,
    0.75 for HRNet)."""

    people: Annotated[str, Option(choices=PEOPLE)] = "all"
    """Everybody, or only the person nearest to the middle and the whole picture where nobody is
    found (column whole_picture), as in the paper's code."""

    device: Annotated[str, DEVICE] = "auto"
    """Where networks compute: auto (cuda where there is one), cpu, cuda or cuda:N."""

    engine: Annotated[str, Option(choices=ENGINES)] = "auto"
    """Library that runs networks: auto (on a CPU the fastest installed for MoveNet and BlazePose,
    torch for the rest), or one for all networks that it can run."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_device(self.device)
        check_shares(self, "--keypoint-threshold", "--detector-threshold")
        check_hrnet(self.keypoints, self.keypoint_weights)
        check(
            self.detector != "none" or self.detector_threshold is None,
            "--detector none and --detector-threshold exclude each other",
        )


def check_hrnet(keypoints: str | None, weights: str | None) -> None:
    """Raise ValueError where HRNet is to find keypoints without its weights."""
    check(
        keypoints != "hrnet" or weights is not None,
        "--keypoints hrnet needs --keypoint-weights, the path of pose_hrnet_w48_384x288.pth",
    )


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the distributions become samples and spreads."""

    num_samples: Annotated[int, Option(also=("-N",))] = 50
    """Body samples per person; every spread in metres is computed from them."""

    uncertainty: bool = True
    """False: no samples and no spread in metres. Closed-form columns stay."""

    paper_rule: Annotated[bool, Option(name="--paper-uncertainty")] = False
    """True: vertices of samples use the mean shape and the mode's global rotation, as the paper's
    code does; otherwise the shape is sampled too (spreads 5 to 6 % larger), and the global rotation
    where the weights give it a distribution."""

    seed: int = 0
    """Seed of all draws. A person's draws depend on it, the item and the person's index alone."""

    drop_intersecting: bool = False
    """True: samples whose body parts enter each other are drawn again, up to ten times each (column
    intersecting_left)."""

    save: Annotated[frozenset[str], Option(choices=SAVES)] = frozenset()
    """Additional columns."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "--num-samples")
        check(0 <= self.seed < 2**63, f"--seed must lie in 0 .. 2**63 - 1, got {self.seed}")
        check(
            self.uncertainty or not self.drop_intersecting,
            "--drop-intersecting and --no-uncertainty exclude each other",
        )
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

    keypoint_error: Annotated[float, Option(needs="refine")] = 1.0
    """Factor on the size of the keypoints' errors: at 1 they are how far COCO's annotators differ,
    and 2 px of the crop. Smaller draws bodies nearer to the keypoints, which with exact keypoints
    is better in 3D too; with a detector's it is worse."""

    def __post_init__(self) -> None:
        check(
            0.01 <= self.keypoint_error <= 100,
            f"--keypoint-error must lie between 0.01 and 100, got {self.keypoint_error}",
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig(OutcomeConfig):
    """Where results go, how the work is cut, and what happens to earlier results."""

    output: Annotated[str, Option(metavar="DIR", also=("-S", "--save_dir"))]
    """Folder of the results, made if needed; any fsspec path."""

    shard_size: int | None = None
    """Pictures or frames per shard, the unit of work and of commit; otherwise chosen so that every
    worker gets several, and at most 32."""

    batch_size: int = 16
    """Pictures decoded at once and people per network call: what memory depends on."""

    visualise: Annotated[
        frozenset[str],
        Option(
            choices=PICTURES,
            shortcuts=(
                Shortcut(names=("-VS", "--visualise_samples"), value="samples"),
                Shortcut(names=("-VU", "--visualise_uncropped"), value="uncropped"),
            ),
        ),
    ] = frozenset()
    """Pictures to draw: of each frame its bodies (uncropped); of each person the result figure of
    the paper's code (figure), keypoints and body over the crop (crops), mode and samples over the
    crop and from two sides (samples)."""

    picture_format: Annotated[str, Option(choices=PICTURE_FORMATS)] = "jpg"
    """Of the pictures drawn."""

    renderer: Annotated[str, Option(choices=PAINTERS)] = "opencv"
    """What paints the bodies of the pictures: opencv, torch (our own, five times slower), or
    pytorch3d, the paper's, where it is installed."""

    dry_run: bool = False
    """Say what would be done, check all options and models, write nothing."""

    time_limit_per_item: Annotated[float, Option(metavar="SECONDS")] = 300.0
    """Seconds after which a picture or frame becomes an error row, so that the others go on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)
        check_renderer(self.renderer, known=PAINTERS)
        check(bool(self.output), "--output must name a folder")
        check_at_least(self, 1, "--shard-size", "--batch-size")
        check_above_zero(self, "--time-limit-per-item")


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Annotate pictures and videos: distributions over body pose and shape of every person.

    Results are Parquet tables below --output. The same command again does only what is missing.
    """

    source: SourceConfig
    models: Annotated[ModelsConfig, Option(heading="models")] = ModelsConfig()
    sampling: Annotated[SamplingConfig, Option(heading="uncertainty")] = SamplingConfig()
    refinement: Annotated[RefinementConfig, Option(heading="refinement")] = RefinementConfig()
    run: Annotated[RunConfig, Option(heading="run")]

    def __post_init__(self) -> None:
        check(
            "samples" not in self.run.visualise or self.sampling.uncertainty,
            "--visualise samples and --no-uncertainty exclude each other",
        )
