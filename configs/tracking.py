"""What `track` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .checks import check_above_zero, check_at_least
from .option import Option


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """Follow people through the videos of a prediction run, and smooth their motion.

    Writes tracks/ in the run's folder: for each person of a video frame the number of its track,
    how sure that is, and the smoothed body. What the run wrote is not touched; tracks of an earlier
    `track` are replaced.
    """

    folder: Annotated[str, Option(metavar="DIR", positional=True)]
    """Output folder of a prediction run."""

    max_gap: Annotated[float, Option(metavar="S")] = 1.0
    """Seconds that somebody may be out of sight."""

    smoothing: float = 1.0
    """How much accelerations are held against a motion; 0 leaves it as it was predicted."""

    refined: bool = False
    """Smooth the bodies moved onto the keypoints, of a run with --refine, instead of the modes."""

    def __post_init__(self) -> None:
        check_above_zero(self, "--max-gap")
        check_at_least(self, 0, "--smoothing")
