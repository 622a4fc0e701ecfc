"""What the commands that make rows do with earlier ones, and when they have failed."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import check_shares


@dataclass(frozen=True, kw_only=True)
class OutcomeConfig:
    """What happens to the results of earlier runs, and how many failures are too many."""

    retry_failed: bool = False
    """Do again what earlier runs ended with an error row."""

    overwrite: bool = False
    """Do everything again; earlier rows of what is done again are replaced, and those of frames of
    the same video that --frame-step or --fps do not choose any more go."""

    max_failed_ratio: float = 0.5
    """Share of failures above which the exit code is 1."""

    def __post_init__(self) -> None:
        check_shares(self, "--max-failed-ratio")
