"""Configuration of the training job: where its data come from, and the whole run.

The parts have files of their own: `synthetic_people`, `keypoint_noise` and `training_phases`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .checks import check_at_least, check_device, check_one_of, check_shares
from .keypoint_noise import KeypointNoiseConfig
from .proxy_look import ProxyLook
from .synthetic_people import BackgroundConfig, SynthesisConfig
from .training_phases import PAPER_STAGE_2, STRIDES, OptimiserConfig, PhaseConfig


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
    val_pose_prefixes: tuple[str, ...] | None = None
    """The same for the validation poses; None: as the training poses (the paper: all)."""
    recombine_poses: bool = True
    """Recombine, perturb and turn the recorded poses; else draw them as they are (the paper's)."""
    online: bool = False
    """Make every training picture anew instead of rendering shards ahead; for GPUs. An epoch is
    as long as with shards."""
    online_validation: bool = False
    """Make the validation pictures anew after every epoch, too (the paper's), instead of rendering
    them once: epochs then are compared on other pictures."""
    each_pose_once: bool = False
    """An epoch, and a validation, made `online` shows each recorded pose once, in an order of its
    own (the paper's), whatever the number of shards. Needs recombine_poses=false."""
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
    proxy: ProxyLook = field(default_factory=ProxyLook)
    mirrored: float = 0.5
    """Share of people that each step shows mirrored (the paper: none)."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "data.num_shards", "data.num_val_shards")
        check_shares(self, "data.mirrored")
        check_one_of("data.stored_stride", self.stored_stride, STRIDES)
        if self.bare and self.online:
            raise ValueError("data.bare and data.online exclude each other: leave one of the two")
        if self.online_validation and not self.online:
            raise ValueError("data.online_validation needs data.online=true")
        if self.each_pose_once and (self.recombine_poses or not self.online):
            raise ValueError(
                "data.each_pose_once needs data.online=true and data.recombine_poses=false: "
                "poses that are recombined, or stored, have no order"
            )
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
            pose_prefixes=(
                self.pose_prefixes if self.val_pose_prefixes is None else self.val_pose_prefixes
            ),
            textures=self.val_textures or self.textures,
            backgrounds=self.val_backgrounds or self.backgrounds,
        )


PRECISIONS = ("bf16", "fp16", "fp32")
LOSS_JOINTS = ("smpl", "h36m")
LOG_NORMALIZER_RULES = ("exact", "trapezoid")
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
    embed_dim: int = 256
    """Width of what the joints' heads read of a picture (the paper's)."""
    sign_rule: str = "invariant"
    """How ancestors condition joints: "invariant", or "paper" for the published layout's rule."""
    global_spread: bool = False
    """Whether the global rotation has a distribution too; the paper's has none."""
    vertex_stride: int = 32
    """Every so-many-th vertex counts in the vertex loss (the paper: 1, all of them)."""
    loss_joints: str = "smpl"
    """Joints of the joint loss: smpl, its 24, or h36m, the 14 that are evaluated (the paper's)."""
    log_normalizer: str = "exact"
    """Log-normaliser of the pose's likelihood: exact, or trapezoid, the paper's approximation."""
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
    no_worse_metrics: tuple[str, ...] = ()
    """Validation metrics that must not be worse either for an epoch's weights to be kept (the
    paper: PVE-SC, beside MPJPE-PA)."""
    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda or cuda:N."""
    compile_encoder: bool = False
    """Whether torch.compile makes the encoder and the branch beside it: minutes at the start of
    each phase, for GPUs. On a CPU nothing is gained."""
    num_threads: int = 2
    """Threads of a training on CPU."""
    epochs_per_checkpoint: int = 5
    """Epochs between checkpoints/epoch_NNN.tar in the paper's layout, from the first on; the last
    is always kept."""
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
        return min(phase.stride for phase in self.phases if phase.epochs)

    def __post_init__(self) -> None:
        if not sum(phase.epochs for phase in self.phases):
            raise ValueError("phases must name at least one epoch of training")
        check_at_least(self, 1, "num_threads", "epochs_per_checkpoint", "save_every", "log_every")
        check_at_least(self, 0, "contact_sheet_people", "max_minutes")
        check_one_of("precision", self.precision, PRECISIONS)
        check_at_least(self, 1, "vertex_stride")
        check_at_least(self, 2, "embed_dim")
        check_one_of("loss_joints", self.loss_joints, LOSS_JOINTS)
        check_one_of("log_normalizer", self.log_normalizer, LOG_NORMALIZER_RULES)
        check_one_of("selection_metric", self.selection_metric, SELECTION_METRICS)
        for metric in self.no_worse_metrics:
            check_one_of("no_worse_metrics", metric, SELECTION_METRICS)
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
        if self.keypoint_lift and self.data.proxy.heatmap_std != ProxyLook().heatmap_std:
            raise ValueError(
                "data.proxy.heatmap_std: the branch of keypoint_lift reads heatmaps of "
                f"{ProxyLook().heatmap_std:g} px"
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
