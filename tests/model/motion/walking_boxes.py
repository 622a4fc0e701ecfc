"""People as boxes and keypoints that walk straight on through a video, for tests of tracks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hierprob3d.model.motion.sightings import Sightings

_OUTLINE = np.array(
    [(0, -0.9), (0.03, -0.93), (-0.03, -0.93), (0.06, -0.9), (-0.06, -0.9), (0.2, -0.65),
     (-0.2, -0.65), (0.25, -0.35), (-0.25, -0.35), (0.25, -0.1), (-0.25, -0.1), (0.12, 0.0),
     (-0.12, 0.0), (0.12, 0.45), (-0.12, 0.45), (0.12, 0.9), (-0.12, 0.9)]
)  # fmt: skip
"""COCO keypoints of somebody upright, from the hips, as a share of half the height."""

Start = tuple[float, float, float, float]
"""Place x, y of the hips, px, then their velocity, px / s."""


def walk(
    starts: list[Start],
    times: np.ndarray,
    is_seen: Callable[[int, float], bool] = lambda person, time: True,
    half_height: float = 90.0,
    seed: int = 0,
) -> tuple[Sightings, np.ndarray]:
    """The people of a video, in another order in each frame, and (N,) who they are."""
    generator = np.random.default_rng(seed)
    rows, who = [], []
    for frame, time in enumerate(times):
        for person in generator.permutation(len(starts)):
            if not is_seen(int(person), float(time)):
                continue
            x, y, vx, vy = starts[person]
            points = _OUTLINE * half_height + (x + vx * time, y + vy * time)
            points = points + generator.normal(0, 1.5, points.shape)
            rows.append((frame, time, points))
            who.append(person)
    keypoints = np.stack([np.column_stack([points, np.full(17, 0.8)]) for *_, points in rows])
    boxes = np.concatenate([keypoints[..., :2].min(1) - 8, keypoints[..., :2].max(1) + 8], axis=1)
    frames, seen_at = (np.array([row[i] for row in rows]) for i in (0, 1))
    return Sightings(frames, seen_at, boxes, keypoints), np.array(who)
