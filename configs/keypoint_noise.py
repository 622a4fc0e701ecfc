"""Errors that training gives to true keypoints, and those fitted to detectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar


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
