"""Configuration of the training job and of its synthetic data; defaults train the open weights."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """How synthetic pictures are made; lengths in pixels refer to the 256 px crop."""

    shape_std: float = 1.25
    """Standard deviation of the betas (the paper's)."""
    shape_clip: float = 2.5
    """Betas are clipped to this many units, and the second (weight) to -2 from below: a normal
    prior has a tail of bodies that no living person has."""
    focal_length: tuple[float, float] = (300.0, 900.0)
    """Range of focal lengths in pixels; the distance grows with it (the paper: 300)."""
    distance_per_focal: float = 2.5 / 300.0
    """Metres of distance per pixel of focal length: people keep their size (the paper's)."""
    distance_jitter: float = 0.2
    """Relative range of the distance about that (the paper: 0.5 m of 2.5 m)."""
    box_scale: float = 1.2
    """Side of the crop over that of the tight 3:4 box."""
    box_scale_jitter: float = 0.2
    """Range added to or taken from the box scale."""
    box_centre_jitter: float = 8.0
    """Range of the crop's displacement."""
    extreme_crop_probability: float = 0.15
    """Share of crops around the upper body only, without legs, or without legs and arms."""
    truncation_probability: float = 0.25
    """Share of pictures whose frame ends inside the crop, on a random side."""
    occluder_probability: float = 0.25
    """Share of pictures with an object in front of the person."""
    ambient: tuple[float, float] = (0.3, 0.8)
    """Range of ambient light."""
    diffuse: tuple[float, float] = (0.3, 0.8)
    """Range of diffuse light."""
    channel_noise: float = 0.2
    """Range of the gain of each colour channel (the paper's)."""
    pixel_noise: float = 0.03
    """Largest standard deviation of pixel noise."""
    max_blur: float = 1.0
    """Largest standard deviation of the blur, pixels."""
    hidden_depth: float = 0.12
    """Metres behind the visible surface from which a keypoint counts as hidden by the body."""


@dataclass(frozen=True, kw_only=True)
class KeypointNoiseConfig:
    """Errors given to the true keypoints, each picture anew; pixels of the 256 px crop."""

    deviation: float = 4.0
    """Standard deviation of each keypoint."""
    outlier_probability: float = 0.04
    """Share of keypoints that are moved further."""
    outlier_deviation: float = 20.0
    """Standard deviation of those."""
    swap_probability: float = 0.03
    """Share of people whose arms, and whose legs, have left and right exchanged."""
    drop_visible: float = 0.06
    """Probability of losing a keypoint that is seen."""
    drop_hidden: float = 0.5
    """Probability of losing a keypoint behind the body or an object."""
    drop_outside: float = 0.97
    """Probability of losing a keypoint outside the picture."""
    drop_limbs: float = 0.1
    """Probability of losing both keypoints at the end of a limb together."""


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
    detach_heads: bool = False
    """The heads learn without changing the encoder, which then learns by its readout alone."""

    def __post_init__(self) -> None:
        if self.stride not in (1, 2, 4):
            raise ValueError(f"phases.stride must be 1, 2 or 4, got {self.stride}")
        if self.detach_heads and not self.readout:
            raise ValueError(
                "phases.detach_heads needs phases.readout: the encoder has nothing else to learn by"
            )


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW with a warm-up and a cosine descent over all phases."""

    batch_size: int = 64
    """People per step (the paper: 72)."""
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


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where poses and pictures come from."""

    train_poses: str = ""
    """npz of training poses."""
    val_poses: str = ""
    """npz of held-back poses."""
    backgrounds: str | None = None
    """Folder of photographs without people; None draws every background."""
    body_model: str = "open"
    """Body of the pictures: open, or a path."""
    pose_tiers: str = "A"
    """Tiers of the pose file to use."""
    num_shards: int = 48
    """Shards of 1,024 training pictures."""
    num_val_shards: int = 2
    """Shards of validation pictures."""
    stored_stride: int = 2
    """Edges are stored averaged over this many pixels in each direction: no phase can be finer."""
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    keypoint_noise: KeypointNoiseConfig = field(default_factory=KeypointNoiseConfig)


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
    seed: int = 0
    """Seed of pictures, initial weights, order and noise."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    num_threads: int = 2
    """Threads of a training on CPU."""
    epochs_per_checkpoint: int = 5
    """Epochs between checkpoints/epoch_NNN.tar in the paper's layout; the last is always kept."""
    save_every: int = 200
    """Steps between saved states; a killed run goes on from the last."""
    log_every: int = 20
    """Steps between lines of the log."""

    @property
    def input_stride(self) -> int:
        """Stride of the finest phase, which is that of the finished network."""
        return min(phase.stride for phase in self.phases)

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("phases must name at least one stretch of training")
        if self.input_stride < self.data.stored_stride:
            raise ValueError(
                f"data.stored_stride is {self.data.stored_stride}: no phase can have a smaller "
                "stride than the stored edges"
            )
