"""How the lift is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .checks import check, check_at_least, check_one_of, check_shares
from .option import Option
from .synthetic_people import BackgroundConfig, SynthesisConfig
from .training_phases import OptimiserConfig


@dataclass(frozen=True, kw_only=True)
class LiftTrainConfig:
    """A whole training of the lift; lengths in pixels refer to the 256 px crop."""

    train_poses: str = ""
    """npz of poses (N, 72)."""
    pose_tiers: str = "A"
    """Source tiers to draw from; only tier A may stand behind published weights."""
    held_back_every: int = 16
    """Every so-many-th clip is held back: for validation, and to fit the temperatures."""
    body_model: str = "open"
    """Body whose vertices the landmarks are known of."""
    num_bodies: int = 458_752
    """Bodies made at the start, 3,000 a second; each showing of one is a new view, 1.2 kB each."""
    synthesis: SynthesisConfig = field(
        default_factory=lambda: SynthesisConfig(
            tumbled=0.18,
            contorted=0.15,
            extreme_crop_probability=0.2,
            extreme_crop_shares=(0.4, 0.3, 0.3),
        )
    )
    """Shapes, cameras, crops and objects of the views."""
    noises: tuple[str, ...] = ("photographs", "movenet")
    """Modelled errors of keypoints, presets of `KeypointNoiseConfig`, in equal shares."""
    exact_share: float = 0.3
    """Of the people with modelled errors, those whose keypoints are where they are."""
    num_detected: int = 5_632
    """People rendered for the bundled detectors to look at, 5 to 15 a second; 0: only modelled
    errors."""
    num_unseen: int = 1_024
    """More such people, whose errors teach how sure the bodies are: with those that bodies are
    learnt from, it would be too sure."""
    backgrounds: str | None = None
    """Photographs without people for these; None draws all."""
    background_look: BackgroundConfig = field(default_factory=BackgroundConfig)
    """How those are used."""
    clothes: tuple[float, ...] = (0.02, 0.02, 0.05, 0.02)
    """`synthesis.clothes_thickness` of the rendered people, in turns; every other turn shows them
    whole, uncut and with nothing before them."""
    moved_share: float = 0.55
    """Of each batch: views with the errors that detectors made on people who look alike."""
    detected_share: float = 0.1
    """Of each batch: the detected people themselves. The rest have modelled errors, and where any
    were detected, keypoints alone."""
    no_keypoints: float = 0.1
    """Share of people of whom only landmarks are given."""
    no_landmarks: float = 0.2
    """Share of people of whom only keypoints are given."""
    no_depth: float = 0.3
    """Share of people whose landmarks are flat."""
    lost_keypoints: float = 0.3
    """Share of people who lack some keypoints besides, up to half of them."""
    width: int = 1024
    """As `LiftConfig.width`."""
    blocks: int = 4
    """As `LiftConfig.blocks`."""
    initial_weights: str | None = None
    """Weights of a lift to begin with; None: random ones."""
    steps: int = 19_000
    """Steps in which rotations, shape and camera are learnt; 0: they stay those of
    `initial_weights`."""
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            batch_size=1024, lr=1e-3, weight_decay=0.01, warmup_steps=300, final_lr_ratio=0.01,
            max_gradient_norm=1.0, average_decay=0.999,
        )
    )  # fmt: skip
    """How they are learnt."""
    spread_steps: int = 600
    """Steps in which, after that, how sure they are is learnt; nothing else changes."""
    spread_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            batch_size=256, lr=2e-3, weight_decay=0.01, warmup_steps=20, max_gradient_norm=1.0
        )
    )
    """How that is learnt."""
    num_calibrated: int = 512
    """Held-back people, rendered for the detectors too, to whom one temperature is fitted for each
    group of joints; 0: none is."""
    num_validated: int = 2_048
    """Held-back people of each validation."""
    seed: int = 0
    """Seed of bodies, initial weights, views and errors."""
    precision: str = "bf16"
    """Numbers of the inner layers in training, bf16 or fp32; all else is fp32."""
    device: str = "cpu"
    """cpu: on a GPU nothing would be gained, views are made on the CPU."""
    num_threads: int = 1
    """Threads."""
    save_every: int = 500
    """Steps between saved states; a killed run goes on from the last."""
    log_every: int = 100
    """Steps between lines of the log."""
    validate_every: int = 1_000
    """Steps between validations."""
    max_minutes: float | None = None
    """Minutes after which the run saves its state and ends; the same command goes on."""

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return self.steps + self.spread_steps

    def __post_init__(self) -> None:
        counted = ("num_bodies", "spread_steps", "num_threads", "save_every", "log_every")
        check_at_least(self, 1, *counted, "validate_every", "num_validated")
        check_at_least(
            self, 0, "steps", "num_detected", "num_unseen", "num_calibrated", "max_minutes"
        )
        check_at_least(self, 2, "held_back_every")
        check_shares(self, "exact_share", "moved_share", "detected_share")
        check_shares(self, "no_keypoints", "no_landmarks", "no_depth", "lost_keypoints")
        check(self.moved_share + self.detected_share <= 1, "moved_share + detected_share exceed 1")
        check(self.no_keypoints + self.no_landmarks <= 1, "no_keypoints + no_landmarks exceed 1")
        check(self.steps > 0 or self.initial_weights is not None, "steps=0 needs initial_weights")
        check_one_of("precision", self.precision, ("bf16", "fp32"))
        check_one_of("device", self.device, ("cpu",))


@dataclass(frozen=True, kw_only=True)
class LiftCommandConfig:
    """Train the lift, which reads coordinates; the same command resumes a killed run."""

    experiment: Annotated[str, Option(metavar="DIR", also=("-E",))]
    """Folder of the run: what detectors said, state, log.jsonl, weights/."""

    settings: Annotated[tuple[str, ...], Option(metavar="name=value", positional=True)] = ()
    """Settings, for example steps=2000 train_poses=poses.npz."""

    config: Annotated[str | None, Option(metavar="YAML")] = None
    """Settings that differ from configs/lift_training.py."""
