"""How the network of shapes is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .checks import check_at_least, check_shares
from .option import Option
from .synthetic_people import SynthesisConfig
from .training_phases import OptimiserConfig


@dataclass(frozen=True, kw_only=True)
class ShapeTrainConfig:
    """A whole training of the network of shapes; lengths in pixels refer to the 256 px crop."""

    train_poses: str = ""
    """npz of poses (N, 72)."""
    pose_tiers: str = "A"
    """Source tiers to draw from; only tier A may stand behind published weights."""
    held_back_every: int = 16
    """Every so-many-th clip is held back, to fit the spread to."""
    synthesis: SynthesisConfig = field(
        default_factory=lambda: SynthesisConfig(
            tumbled=0.1,
            contorted=0.15,
            extreme_crop_probability=0.2,
            extreme_crop_shares=(0.4, 0.3, 0.3),
        )
    )
    """Shapes, cameras, crops and objects of the people."""
    clothes: tuple[float, ...] = (0.02, 0.02, 0.05, 0.02, 0.0, 0.05)
    """`synthesis.clothes_thickness` of the people, in turns; every other turn shows rendered people
    whole, uncut and with nothing before them. Without clothes here, dressed people come out fat."""
    backgrounds: str | None = None
    """Photographs without people to render them before; None draws all."""
    num_seen: int = 3_584
    """People rendered for BlazePose to look at, 15 a second."""
    num_outlines: int = 24_576
    """People of whom only the silhouette is made, 250 a second; widths and keypoints get the errors
    that BlazePose made on those who look alike."""
    num_calibrated: int = 1_024
    """People of held-back clips, rendered for BlazePose too, whom the spread is fitted to."""
    seen_share: float = 0.06
    """Of each batch: rendered people themselves. More of them, and they are known by heart: 17.4 mm
    with half, 16.5 with none (256 rendered, others judged)."""
    exact_share: float = 0.2
    """Of each batch: silhouettes and keypoints without errors."""
    dropout: float = 0.1
    """Share of the numbers between layers left out at each step."""
    steps: int = 9_000
    """Steps."""
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            batch_size=256, lr=1e-3, weight_decay=0.05, warmup_steps=100, final_lr_ratio=0.01,
            max_gradient_norm=1.0,
        )
    )  # fmt: skip
    """How they are made."""
    seed: int = 0
    """Seed of people, errors and initial weights."""
    num_threads: int = 1
    """Threads."""

    def __post_init__(self) -> None:
        counted = ("num_seen", "num_outlines", "num_calibrated", "steps", "num_threads")
        check_at_least(self, 1, *counted)
        check_at_least(self, 2, "held_back_every")
        check_shares(self, "seen_share", "exact_share", "dropout")


@dataclass(frozen=True, kw_only=True)
class ShapeCommandConfig:
    """Train the network of shapes; the same command goes on with the people that are there."""

    experiment: Annotated[str, Option(metavar="DIR", also=("-E",))]
    """Folder of the run: what BlazePose saw, shape_net.safetensors."""

    settings: Annotated[tuple[str, ...], Option(metavar="name=value", positional=True)] = ()
    """Settings, for example steps=2000 train_poses=poses.npz."""

    config: Annotated[str | None, Option(metavar="YAML")] = None
    """Settings that differ from configs/shape_training.py."""
