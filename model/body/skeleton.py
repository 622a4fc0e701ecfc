"""Names and trees of the SMPL skeleton, of the COCO keypoints and of BlazePose's landmarks.

"Joint" counts SMPL's 24 joints from the pelvis (0); "body joint" counts the 23 that carry a
distribution, 0..22 = SMPL's 1..23, as the paper does.
"""

from __future__ import annotations

SMPL_JOINT_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck",
    "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
BODY_JOINT_NAMES = SMPL_JOINT_NAMES[1:]


def _mirrored(names: tuple[str, ...]) -> tuple[int, ...]:
    """What each becomes in the mirror image, left and right being told by the names."""
    other = [
        name.replace("left", "?").replace("right", "left").replace("?", "right") for name in names
    ]
    return tuple(names.index(name) for name in other)


JOINT_FLIP = _mirrored(SMPL_JOINT_NAMES)
"""SMPL joint that each joint becomes in the mirror image."""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

NUM_JOINTS = len(SMPL_JOINT_NAMES)
NUM_BODY_JOINTS = len(BODY_JOINT_NAMES)
NUM_BETAS = 10


def _ancestors(body_joint: int) -> tuple[int, ...]:
    """Body joints between `body_joint` and the pelvis, nearest first."""
    parent = PARENTS[body_joint + 1] - 1
    return (parent, *_ancestors(parent)) if parent >= 0 else ()


ANCESTORS = tuple(_ancestors(joint) for joint in range(NUM_BODY_JOINTS))
"""Per body joint, the ancestors whose distributions condition it (the pelvis has none)."""

LEVELS = tuple(
    tuple(joint for joint in range(NUM_BODY_JOINTS) if len(ANCESTORS[joint]) == depth)
    for depth in range(max(map(len, ANCESTORS)) + 1)
)
"""Body joints by depth: those of one level depend on earlier levels only."""

COCO_KEYPOINT_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
NUM_KEYPOINTS = len(COCO_KEYPOINT_NAMES)

BODY_PARTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "head": ((0, 1, 2, 3, 4),),
    "trunk": ((5, 6, 11, 12),),
    "upper arms": ((5, 7), (6, 8)),
    "thighs": ((11, 13), (12, 14)),
    "shins": ((13, 15), (14, 16)),
}
"""COCO keypoints at the corners of parts that have a colour each, those on both sides one."""

COCO_FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Keypoint that each keypoint becomes in the mirror image."""

COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
)  # fmt: skip
"""How far COCO's annotators differ at each keypoint, as a share of the root of the person's area:
published with its evaluation (pycocotools, `kpt_oks_sigmas`)."""

COCO_EDGES = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
    (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
"""Keypoint pairs joined by a line when a skeleton is drawn."""

LANDMARK_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""What BlazePose finds: COCO's keypoints, and more of face, hands and feet."""

NUM_LANDMARKS = len(LANDMARK_NAMES)

COCO_LANDMARKS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""The landmark of each COCO keypoint."""

LANDMARK_FLIP = _mirrored(LANDMARK_NAMES)
"""Landmark that each landmark becomes in the mirror image."""

ALWAYS_VISIBLE = (0, 1, 2, 3, 4, 5, 6, 11, 12)
"""Keypoints the paper never drops, however low their confidence: face, shoulders, hips."""


MEASUREMENT_NAMES = ("height_m", "chest_girth_m", "waist_girth_m", "hip_girth_m", "weight_kg")
"""Order of the last dimension of what `BodyMeasurer` returns; the unit is in the name."""
INTERSECTION_TOLERANCE_M = 0.02
"""Depth of body parts in each other that counts as an intersection: those that touch give way, and
`self_intersection` has capsules for them."""
