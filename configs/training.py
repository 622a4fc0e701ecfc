"""Configuration of the training job and of its synthetic data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from .checks import check_at_least, check_device, check_one_of, check_shares

STRIDES = (1, 2, 4)
"""Pixels of the 256 px proxy that may be averaged in each direction."""


@dataclass(frozen=True, kw_only=True)
class HalvesConfig:
    """Shares of pictures that lose a part, from a line near the middle to one side."""

    bottom: float = 0.0
    """Lost below a line 0.3 to 0.7 of the way down."""
    top: float = 0.0
    """Lost above such a line."""
    side: float = 0.0
    """Lost left or right of the middle, give or take a thirtieth."""


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """How synthetic pictures are made; lengths in pixels refer to the 256 px crop.

    Every probability can be 0 and every range empty: that switches the augmentation off.
    """

    shape_std: float = 1.25
    """Standard deviation of the betas (the paper's)."""
    shape_clip: float = 2.5
    """Betas are clipped to this many units: a normal prior has a tail of bodies that no living
    person has (the paper clips none)."""
    lowest_second_beta: float = -2.0
    """The second beta, which goes with weight, is clipped to this from below."""
    focal_length: tuple[float, float] = (300.0, 900.0)
    """Range of focal lengths in pixels; the distance grows with it (the paper: 300)."""
    distance_per_focal: float = 2.5 / 300.0
    """Metres of distance per pixel of focal length: people keep their size (the paper's)."""
    distance_jitter: float = 0.2
    """Relative range of the distance about that (the paper: 0.5 m of 2.5 m)."""
    camera_pitch_std: float = 0.15
    """Deviation of the camera's pitch about the horizontal, radians: how far it looks from above or
    below (recombined poses only: recorded ones keep their view)."""
    camera_roll_std: float = 0.08
    """Deviation of its roll, radians (likewise)."""
    tumbled: float = 0.0
    """Share of people turned every way up, each as likely: who lie, dive, turn cartwheels or are
    seen from above are rare among recordings (recombined poses only)."""
    contorted: float = 0.0
    """Share of people whose joints are moved part of the way to anywhere within their limits
    (likewise)."""
    clothes_thickness: float = 0.0
    """Metres that the thickest jackets stand off the body (the paper: 0), trousers up to 0.6 and
    hair up to 1.2 times as far; each person's are drawn, thin ones the most often. Pictures show
    them, the truth is the body beneath."""
    camera_xy_std: float = 0.0
    """Deviation of the person from the optical axis, metres in each direction (the paper: 0.05)."""
    box_aspect: float = 0.75
    """Width over height of the crop's content, between black bars: as prediction cuts it. The
    paper trains with 1."""
    box_scale: float = 1.2
    """Side of the crop over that of the tight 3:4 box."""
    box_scale_jitter: float = 0.2
    """Range added to or taken from the box scale."""
    box_centre_jitter: float = 8.0
    """Range of the crop's displacement."""
    extreme_crop_probability: float = 0.15
    """Share of crops around a part of the body only (the paper: 0.1)."""
    extreme_crop_shares: tuple[float, float, float] = (0.5, 0.5, 0.0)
    """Relative frequency of these without the legs, without legs and arms (the paper's two), and
    without the lower legs: cut at the thighs."""
    truncation_probability: float = 0.25
    """Share of pictures whose frame ends inside the crop, on a random side."""
    occluder_probability: float = 0.25
    """Share of pictures with an object in front of the person."""
    missing_parts: tuple[float, ...] = (0.0,) * 24
    """Probability that the background shows in place of each DensePose part 1..24 (the paper: 0.1,
    and 0.05 for upper arms, thighs and head)."""
    missing_part_hides: float = 0.5
    """Probability that the keypoint at the end of a missing lower limb, hand or foot counts as
    hidden (the paper's)."""
    missing_box: float = 0.0
    """Share of pictures where the background shows through a square near the middle; keypoints
    there count as seen, as in the paper (0.1)."""
    missing_box_side: float = 48.0
    """Side of that square (the paper's)."""
    missing_halves: HalvesConfig = field(default_factory=HalvesConfig)
    """Halves where the background shows in place of the person; keypoints there count as hidden
    (the paper: bottom 0.02, top 0.005, side 0.05)."""
    black_halves: HalvesConfig = field(default_factory=HalvesConfig)
    """Halves that are black; keypoints there count as outside (the paper: as above)."""
    light_distance: tuple[float, float] | None = None
    """Range of the distance of a light from the pelvis, in any direction, metres (the paper: 0.05
    to 3); None: a distant light, mostly from above and in front."""
    ambient: tuple[float, float] = (0.3, 0.8)
    """Range of ambient light."""
    diffuse: tuple[float, float] = (0.3, 0.8)
    """Range of diffuse light."""
    specular: tuple[float, float] = (0.0, 0.0)
    """Range of the strength of highlights (the paper: 0 to 0.5)."""
    channel_noise: float = 0.2
    """Range of the gain of each colour channel (the paper's)."""
    pixel_noise: float = 0.03
    """Largest standard deviation of pixel noise."""
    max_blur: float = 1.0
    """Largest standard deviation of the blur, pixels."""
    hidden_depth: float = 0.12
    """Metres behind the visible surface from which a keypoint counts as hidden by the body."""
    hidden_rule: str = "depth"
    """When the body hides a keypoint: "depth" as above, or "parts", the paper's: when no more than
    50 pixels of the limb's parts around it are seen."""

    def __post_init__(self) -> None:
        if len(self.missing_parts) != 24:
            raise ValueError(
                f"missing_parts must have 24 probabilities, got {len(self.missing_parts)}"
            )
        check_shares(self, "data.synthesis.tumbled", "data.synthesis.contorted")
        check_at_least(self, 0, "data.synthesis.clothes_thickness")
        if not 0 < self.box_aspect <= 1:
            raise ValueError(f"box_aspect must lie in 0..1, got {self.box_aspect}")
        if self.hidden_rule not in ("depth", "parts"):
            raise ValueError(f'hidden_rule must be "depth" or "parts", got {self.hidden_rule!r}')


@dataclass(frozen=True, kw_only=True)
class BackgroundConfig:
    """How photographs and drawn pictures become backgrounds."""

    drawn_share: float = 0.35
    """Share of drawn backgrounds where there are photographs (the paper: 0)."""
    num_drawn: int = 256
    """Drawn pictures that these are cut from."""
    crop: tuple[float, float] = (0.25, 1.0)
    """Range of the side of the square cut from a photograph, over its shorter side."""
    gain: tuple[float, float] = (0.6, 1.3)
    """Range of the factor on the brightness of photographs."""
    gigabytes: float = 4.0
    """Memory that photographs may fill, in each process; of a larger folder a random choice is
    used."""

    def __post_init__(self) -> None:
        check_shares(self, "data.background_look.drawn_share")
        check_at_least(self, 1, "data.background_look.num_drawn")


@dataclass(frozen=True, kw_only=True)
class KeypointNoiseConfig:
    """Errors given to the true keypoints, each picture anew; pixels of the 256 px crop.

    Tuples of 17 follow COCO's order. In a file or on the command line the name of one of PRESETS
    stands for all of them: `data.keypoint_noise=movenet`.
    """

    PRESETS: ClassVar[dict[str, KeypointNoiseConfig]] = {}

    deviation: float = 4.0
    """Standard deviation of each keypoint."""
    uniform_range: float = 0.0
    """If not 0: errors are uniform, up to this much in each direction, without outliers (the
    paper's)."""
    per_keypoint: tuple[float, ...] = (1.0,) * 17
    """Factor on the deviation, or range, of each keypoint."""
    person_spread: float = 0.0
    """Standard deviation of the logarithm of a factor that all keypoints of a person share: in some
    pictures everything is found worse."""
    hidden_scale: float = 1.0
    """Factor for keypoints that are hidden or outside."""
    girdles_widened: tuple[float, float] = (0.0, 0.0)
    """Largest share by which clothes move the shoulders, and the hips, apart; thin clothes are the
    most frequent. Detectors mark joints where clothes seem to have them."""
    girdles_shifted: tuple[float, float] = (0.0, 0.0)
    """Standard deviation by which both shoulders, and both hips, are found too high or too low,
    over the trunk's length."""
    outlier_probability: float = 0.04
    """Share of keypoints that are moved further."""
    outlier_deviation: float = 20.0
    """Standard deviation of those."""
    swap_probability: float = 0.03
    """Share of people with left and right exchanged, for each of `swap_groups` by itself."""
    swap_groups: tuple[tuple[int, ...], ...] = ((5, 7, 9), (11, 13, 15))
    """Left keypoints that are exchanged with their right ones together: arms, and legs."""
    swap_all: float = 0.0
    """Share of people whose every keypoint has left and right exchanged: back taken for front."""
    drop_visible: tuple[float, ...] = (0.06,) * 17
    """Probability of losing each keypoint where it is seen."""
    drop_hidden: tuple[float, ...] = (0.5,) * 17
    """Probability of losing each keypoint behind the body or an object."""
    drop_outside: float = 0.97
    """Probability of losing a keypoint outside the picture."""
    drop_limbs: float = 0.1
    """Probability of losing both keypoints at the end of a limb together."""

    def __post_init__(self) -> None:
        counts = {"per_keypoint": 17, "drop_visible": 17, "drop_hidden": 17}
        counts |= {"girdles_widened": 2, "girdles_shifted": 2}
        for name, count in counts.items():
            found = len(getattr(self, name))
            if found != count:
                raise ValueError(f"{name} must have {count} numbers, got {found}")


MOVENET_KEYPOINT_NOISE = KeypointNoiseConfig(
    deviation=2.0,
    per_keypoint=(1.2, 1.0, 1.0, 0.95, 0.95, 1.25, 1.25, 1.2, 1.2, 1.05, 1.05)
    + (1.6, 1.6, 1.35, 1.35, 0.95, 0.95),
    person_spread=0.47,
    hidden_scale=2.1,
    outlier_probability=0.024,
    outlier_deviation=26.0,
    swap_probability=0.012,
    swap_all=0.027,
    drop_visible=(0.14, 0.125, 0.125, 0.08, 0.08, 0.05, 0.05, 0.07, 0.07, 0.16, 0.16)
    + (0.06, 0.06, 0.035, 0.035, 0.055, 0.055),
    drop_hidden=(0.49, 0.43, 0.43, 0.35, 0.35, 0.14, 0.14, 0.42, 0.42, 0.63, 0.63)
    + (0.08, 0.08, 0.31, 0.31, 0.4, 0.4),
    drop_outside=0.8,
    drop_limbs=0.06,
)
"""Fitted to the errors of MoveNet thunder, at confidences above 0.3, on 1,024 synthetic pictures
with true keypoints. Drawn clothes are easier to read than photographs: there expect a larger
deviation. The hips that MoveNet sees in these pictures alone, 9 % of the trunk above the true ones,
are left out."""

PHOTOGRAPHS_KEYPOINT_NOISE = replace(
    MOVENET_KEYPOINT_NOISE,
    deviation=3.0,
    #             nose eyes     ears     shoulders elbows   wrists   hips     knees    ankles
    per_keypoint=(0.9, 0.8, 0.8, 0.8, 0.8, 1.0, 1.0, 1.2, 1.2, 1.05, 1.05)
    + (1.2, 1.2, 1.35, 1.35, 0.95, 0.95),
    girdles_widened=(0.3, 0.3),
    girdles_shifted=(0.08, 0.08),
)
"""MoveNet's on photographs of people in thick clothes: what is not MoveNet's above is assumed, not
measured, but for its hips: 9 % of the trunk too high is about one standard deviation here."""

PAPER_KEYPOINT_NOISE = KeypointNoiseConfig(
    uniform_range=6.0,
    swap_probability=0.1,
    swap_groups=((5,), (11,)),
    drop_visible=(0.0,) * 7 + (0.1,) * 4 + (0.0,) * 2 + (0.1,) * 4,
    drop_hidden=(1.0,) * 17,
    drop_outside=1.0,
    drop_limbs=0.0,
)
"""The paper's errors: shoulders and hips are exchanged, elbows, wrists, knees and ankles are lost.
What it calls hidden is `SynthesisConfig.hidden_rule` "parts"."""

KeypointNoiseConfig.PRESETS.update(
    default=KeypointNoiseConfig(),
    movenet=MOVENET_KEYPOINT_NOISE,
    photographs=PHOTOGRAPHS_KEYPOINT_NOISE,
    paper=PAPER_KEYPOINT_NOISE,
)


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the loss terms; defaults are the paper's first stage."""

    pose: float = 80.0
    shape: float = 50.0
    joints2d: float = 5000.0
    global_rotmat: float = 5000.0
    vertices: float = 0.0
    joints3d: float = 0.0
    global_pose: float = 0.0
    """Of the negative log-likelihood of the global rotation, not in the paper; needs a network with
    `global_spread`. It reaches that layer only: the rest learns as without it."""
    overregularisation: float = 1.005
    """Factor of the log-normaliser in the pose term (the paper's; 1 is the exact likelihood)."""

    @property
    def counts(self) -> bool:
        """Whether any term has a weight."""
        return any(value for name, value in vars(self).items() if name != "overregularisation")


PAPER_STAGE_1 = LossWeights()
PAPER_STAGE_2 = LossWeights(
    pose=10.0, shape=80.0, joints2d=30000.0, vertices=5000.0, joints3d=5000.0
)


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """A stretch of training with one loss and one size of picture."""

    epochs: int
    """Passes over the rendered pictures."""
    stride: int = 2
    """Pixels of the 256 px proxy averaged in each direction before the encoder: 1, 2 or 4."""
    loss: LossWeights = PAPER_STAGE_1
    """Weights of the loss terms."""
    num_samples: int = 0
    """Bodies sampled per person for the keypoint loss, beside the mode (the paper's stage 2: 8)."""
    readout: float = 0.0
    """Weight of the regression of the truth from the encoder's features (the paper: none)."""
    bare_people: int = 0
    """People of each step, on top of the batch, of whom only keypoints are given: they are made
    anew for a seventh of the time of a picture, and teach many more poses (the paper: none)."""
    detach_heads: bool = False
    """The heads learn without changing the encoder, which then learns by its readout alone."""
    lift_only: bool = False
    """The branch of `keypoint_lift` gives all features: the encoder neither runs nor learns, which
    makes a step seven to thirty times as fast (the paper: there is no such branch)."""

    def __post_init__(self) -> None:
        check_one_of("phases.stride", self.stride, STRIDES)
        check_at_least(self, 1, "phases.epochs")
        check_at_least(self, 0, "phases.num_samples", "phases.bare_people")
        if self.detach_heads and not self.readout:
            raise ValueError(
                "phases.detach_heads needs phases.readout: the encoder has nothing else to learn by"
            )
        if not self.loss.counts and not self.readout:
            raise ValueError(
                "phases.loss has no weight, and phases.readout none: nothing is learnt"
            )


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW with a warm-up and a cosine descent over all phases."""

    batch_size: int = 64
    """Pictures per step, of all processes together (the paper: 72)."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other, for batches that do not fit into
    memory at once. Their gradients add up to those of the whole batch; BatchNorm sees parts."""
    lr: float = 6e-4
    """Highest learning rate (the paper: 1e-4 constant, over far more steps)."""
    weight_decay: float = 1e-4
    """Decay of weights, as AdamW's."""
    warmup_steps: int = 200
    """Steps until the highest learning rate."""
    final_lr_ratio: float = 0.02
    """Learning rate of the last step over the highest."""
    max_gradient_norm: float = 2000.0
    """Gradients are scaled down to this norm; a few steps of the start need it."""
    average_decay: float = 0.99
    """Decay per step of the running average of the weights, which is what is kept."""

    def __post_init__(self) -> None:
        names = ("optimiser.batch_size", "optimiser.accumulate", "optimiser.warmup_steps")
        check_at_least(self, 1, *names)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where poses and pictures come from."""

    train_poses: str = ""
    """npz of training poses."""
    val_poses: str = ""
    """npz of held-back poses, for validation; none: the clips of `held_back_every`."""
    held_back_every: int = 0
    """Every so-many-th clip of `train_poses` is kept out of training, and validation uses these
    clips: so the choice of an epoch leaves another file for the final figures. Needs a file with
    `clip`, and weights to go on from that did not see them. 0: none."""
    backgrounds: str | None = None
    """Folder of photographs without people; None draws every background."""
    val_backgrounds: str | None = None
    """The same for the validation pictures; None: as the training pictures."""
    textures: str | None = None
    """npz of whole-body textures, `grey` and `nongrey` (N, H, W, 3) uint8; None draws clothes."""
    val_textures: str | None = None
    """The same for the validation pictures; None: as the training pictures."""
    densepose_uv: str | None = None
    """DensePose's UV_Processed.mat: parts of SMPL's faces, and where they lie on the paper's
    textures. Textures without it are laid out by the body file's own UV (OpenBody's)."""
    body_model: str = "open"
    """Body of the pictures: open, or a path."""
    pose_tiers: str = "A"
    """Tiers of the pose file to use."""
    pose_prefixes: tuple[str, ...] = ()
    """Beginnings of the names (`fnames`) of the poses to use; none: all. The paper's: h36m, up3d
    and 3dpw."""
    recombine_poses: bool = True
    """Recombine, perturb and turn the recorded poses; else draw them as they are (the paper's)."""
    online: bool = False
    """Make every training picture anew instead of rendering shards ahead; for GPUs. An epoch is
    as long as with shards."""
    bare: bool = False
    """Training people are given by keypoints alone, as those of `phases.bare_people`, but are made
    ahead and shown again in every epoch. Needs phases that are `lift_only`."""
    num_shards: int = 48
    """Shards of 1,024 training pictures."""
    num_val_shards: int = 2
    """Shards of validation pictures."""
    stored_stride: int = 2
    """Edges are stored averaged over this many pixels in each direction: no phase can be finer."""
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    background_look: BackgroundConfig = field(default_factory=BackgroundConfig)
    keypoint_noise: KeypointNoiseConfig = field(default_factory=KeypointNoiseConfig)
    mirrored: float = 0.5
    """Share of people that each step shows mirrored (the paper: none)."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "data.num_shards", "data.num_val_shards")
        check_shares(self, "data.mirrored")
        check_one_of("data.stored_stride", self.stored_stride, STRIDES)
        if self.bare and self.online:
            raise ValueError("data.bare and data.online exclude each other: leave one of the two")
        if self.held_back_every == 1 or self.held_back_every < 0:
            raise ValueError(
                f"data.held_back_every must be 0, or 2 or more, got {self.held_back_every}"
            )
        if self.held_back_every and self.val_poses:
            raise ValueError(
                "data.val_poses and data.held_back_every exclude each other: leave one of the two, "
                "or switch the second off with data.held_back_every=0"
            )

    def for_training(self) -> DataConfig:
        """The same without what only pictures need, where training has none."""
        return replace(self, textures=None, backgrounds=None) if self.bare else self

    def for_validation(self) -> DataConfig:
        """The same with pictures, and the validation's own textures and backgrounds if given."""
        return replace(
            self,
            bare=False,
            textures=self.val_textures or self.textures,
            backgrounds=self.val_backgrounds or self.backgrounds,
        )


PRECISIONS = ("bf16", "fp16", "fp32")
SELECTION_METRICS = (
    "MPJPE", "MPJPE-PA", "PVE", "PVE-SC", "PVE-T-SC", "joints2D-L2E", "joints2Dsamples-L2E",
    "shape-NLL", "pose-NLL",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole training run."""

    data: DataConfig = field(default_factory=DataConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    phases: tuple[PhaseConfig, ...] = (
        PhaseConfig(epochs=4, stride=4),
        PhaseConfig(epochs=2, stride=2),
        PhaseConfig(epochs=1, stride=2, loss=PAPER_STAGE_2, num_samples=4),
    )
    num_layers: int = 18
    """Layers of the ResNet encoder: 18 or 50."""
    sign_rule: str = "invariant"
    """How ancestors condition joints: "invariant", or "paper" for the published layout's rule."""
    global_spread: bool = False
    """Whether the global rotation has a distribution too; the paper's has none."""
    keypoint_lift: bool = False
    """Whether a branch beside the encoder reads the keypoints' coordinates; the paper has none."""
    initial_weights: str | None = None
    """Weights to begin with, of this tool or the paper's .tar; None: random ones."""
    initial_lift: str | None = None
    """Weights whose branch of `keypoint_lift` joins the initial weights, in place of any of theirs.
    Its last layer is new and adds nothing at first: it learns what the heads can use."""
    seed: int = 0
    """Seed of pictures, initial weights, order and noise."""
    precision: str = "bf16"
    """Numbers of the encoder in training: bf16, fp16 (with scaled losses) or fp32; all else, and
    validation, is fp32."""
    selection_metric: str = "MPJPE-PA"
    """Validation metric that decides which epoch's weights are kept; lower is better."""
    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda or cuda:N."""
    compile_encoder: bool = False
    """Whether torch.compile makes the encoder and the branch beside it: minutes at the start of
    each phase, for GPUs. On a CPU nothing is gained."""
    num_threads: int = 2
    """Threads of a training on CPU."""
    epochs_per_checkpoint: int = 5
    """Epochs between checkpoints/epoch_NNN.tar in the paper's layout; the last is always kept."""
    save_every: int = 200
    """Steps between saved states; a killed run goes on from the last."""
    log_every: int = 20
    """Steps between lines of the log."""
    log_tensorboard: bool = True
    """Whether to write TensorBoard's files beside the log, where that is installed."""
    contact_sheet_people: int = 8
    """People of each epoch's contact sheet: half in training, if these have pictures, and half held
    back."""
    max_minutes: float | None = None
    """Minutes after which the run saves its state and ends; the same command goes on."""

    @property
    def input_stride(self) -> int:
        """Stride of the finest phase, which is that of the finished network."""
        return min(phase.stride for phase in self.phases)

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("phases must name at least one stretch of training")
        check_at_least(self, 1, "num_threads", "epochs_per_checkpoint", "save_every", "log_every")
        check_at_least(self, 0, "contact_sheet_people", "max_minutes")
        check_one_of("precision", self.precision, PRECISIONS)
        check_one_of("selection_metric", self.selection_metric, SELECTION_METRICS)
        check_device(self.device, "device")
        self._check_lift()
        if not self.phases[-1].loss.counts:
            raise ValueError("phases: the heads must learn in the last one, its loss has no weight")
        if any(phase.loss.global_pose for phase in self.phases) and not self.global_spread:
            raise ValueError("phases.loss.global_pose needs global_spread=true")
        if self.input_stride < self.data.stored_stride:
            raise ValueError(
                f"data.stored_stride is {self.data.stored_stride}: no phase can have a smaller "
                "stride than the stored edges"
            )

    def _check_lift(self) -> None:
        lifts = [phase.lift_only for phase in self.phases]
        if self.initial_lift and (not self.keypoint_lift or not self.initial_weights or lifts[0]):
            raise ValueError(
                "initial_lift needs keypoint_lift=true, initial_weights that it joins, and a first "
                "phase that is not lift_only"
            )
        if any(lifts) and not self.keypoint_lift:
            raise ValueError("phases.lift_only needs keypoint_lift=true: there is no other branch")
        if lifts != sorted(lifts, reverse=True):
            raise ValueError(
                "phases.lift_only leaves out an encoder that earlier phases learnt to rely on: "
                "phases with it come first"
            )
        if self.data.bare and not all(lifts):
            raise ValueError("data.bare needs phases.lift_only in every phase: there is no picture")
