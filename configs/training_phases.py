"""How a network learns: losses, phases, steps."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import check_at_least, check_one_of

STRIDES = (1, 2, 4)
"""Pixels of the 256 px proxy that may be averaged in each direction."""


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
    """Passes over the rendered pictures; 0 leaves the phase out."""
    stride: int = 2
    """Pixels of the 256 px proxy averaged in each direction before the encoder: 1, 2 or 4."""
    loss: LossWeights = PAPER_STAGE_1
    """Weights of the loss terms."""
    num_samples: int = 0
    """Bodies sampled per person for the keypoint loss, beside the mode (the paper's stage 2: 8)."""
    mode_keypoints: bool = True
    """Whether the keypoint loss is on the mode, too, beside the samples (the paper: yes)."""
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
        check_at_least(self, 0, "phases.epochs", "phases.num_samples", "phases.bare_people")
        if not (self.mode_keypoints or self.num_samples):
            raise ValueError("phases.mode_keypoints=false needs phases.num_samples")
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
