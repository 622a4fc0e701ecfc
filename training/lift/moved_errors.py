"""Errors of the real detectors, moved from rendered people onto views of others.

A view gets the errors that the detectors made on one of the rendered people who look most alike in
2D: hard poses get the errors that hard poses have, and the errors of both detectors stay together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.skeleton import COCO_FLIP, COCO_LANDMARKS
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.random.draws import Draws

from .detected_people import DetectedPeople, true_joints2d
from .lift_batch import LiftBatch
from .modelled_errors import KEYPOINT_OF_LANDMARK
from .views import Views

DEPTH_SLOPE = 1.83
"""BlazePose's z over true depth in px, fitted on rendered people."""

_HIDDEN_COUNTS, _OUTSIDE_COUNTS = 0.6, 0.8
"""What a keypoint hidden, or outside, in one of two people adds to their distance."""
_MOST_ALIKE = 3
_COMPARED = 16_384
"""Detected people and mirror images that the views of a step are compared with, others each time:
time, and who is alike changes."""
_ROUGH_SHARE = 0.7
"""Share of people whose keypoints are those of the person detector, not thunder's."""
_GUESSED = 0.5
"""Share of views whose landmarks have the very depths that BlazePose gave to somebody alike: it
guesses depth by what people look like, rather than measuring it with errors, and whoever takes it
for a measurement trusts it too much."""
_JITTER_PX = 1.2
_ERROR_SPREAD = 0.3
"""Standard deviation of the logarithm of a factor on all errors of a person."""
_CONFIDENCE_SPREAD = 0.7
"""Standard deviation of what is added to the logit of a confidence. Without these three, people are
known by their confidences, and their errors by heart: longer training then makes weights worse."""
_HIPS = [11, 12]


class RealErrors:
    """The errors of detected people, for others and for themselves.

    Args:
        people: whom the detectors found.
        body: the body of their truth.
    """

    def __init__(self, people: DetectedPeople, body: KeypointBody) -> None:
        self.people = people
        self.joints2d = true_joints2d(people, body)
        self._depths = _depths(people, body)
        plain = self._errors(people, self._depths)
        image = self._errors(*_mirror_images(people, self._depths))
        names = plain.keys()
        self._bank = {name: torch.cat([plain[name], image[name]]) for name in names}
        self._squared = self._bank["key"].square().sum(1)
        self._has_thunder = _has_thunder(self._bank["thunder"])

    def moved(self, views: Views, draws: Draws) -> LiftInput:
        """What the detectors would say of the views."""
        key, size = _key(views.keypoints, views.hidden, views.outside)
        is_rough = draws.chance(_ROUGH_SHARE, len(views))
        donor = self._donors(key, ~is_rough, draws)
        error = {name: values[donor] for name, values in self._bank.items()}
        mine = torch.where(is_rough[:, None, None], error["rough"], error["thunder"])
        scale = size * draws.normal(_ERROR_SPREAD, len(views), 1, 1).exp()
        found = _near(views.keypoints + mine[..., :2] * scale, draws)
        keypoints = torch.cat([found, _blurred(mine[..., 2:], draws)], dim=-1)
        owner = list(KEYPOINT_OF_LANDMARK)
        places = views.landmarks + error["landmarks"][:, owner] * scale
        places[:, list(COCO_LANDMARKS)] = views.keypoints + error["landmarks"] * scale
        places = _near(places, draws)
        measured = DEPTH_SLOPE * views.depth + error["depth"][:, owner] * size[..., 0]
        is_guess = draws.chance(_GUESSED, len(views))[:, None]
        depth = torch.where(is_guess, error["guess"] * size[..., 0], measured)
        confidence = _blurred(error["confidence"], draws)
        landmarks = torch.cat([places, depth[..., None], confidence], dim=-1)
        return LiftInput(keypoints, landmarks)

    def themselves(self, draws: Draws, num: int) -> LiftBatch:
        """`num` of the detected people, turned, scaled and shifted a little in the picture."""
        index = draws.below(len(self.people), num)
        people = self.people[index]
        is_rough = draws.chance(_ROUGH_SHARE, num) | ~_has_thunder(people.thunder)
        move = _Move(draws, num)
        found = torch.where(is_rough[:, None, None], people.rough, people.thunder)
        score = _blurred(found[..., 2:], draws)
        keypoints = torch.cat([move.jittered(found[..., :2]), score], dim=-1)
        depth = people.landmarks[..., 2:3] * move.scale
        rest = _blurred(people.landmarks[..., 3:], draws)
        landmarks = torch.cat([move.jittered(people.landmarks[..., :2]), depth, rest], dim=-1)
        rotmats = people.rotmats
        rotmats[:, 0] = move.turn @ rotmats[:, 0]
        joints2d = move(self.joints2d[index])
        return LiftBatch(LiftInput(keypoints, landmarks), joints2d, rotmats, people.betas)

    def _donors(self, key: Tensor, of_thunder: Tensor, draws: Draws) -> Tensor:
        """(B,) rows of the bank: for each view one of those most alike, of some that are drawn."""
        num = len(self._squared)
        some = draws.below(num, _COMPARED) if num > _COMPARED else torch.arange(num)
        distance = self._squared[some] - 2 * key @ self._bank["key"][some].T
        distance.masked_fill_(of_thunder[:, None] & ~self._has_thunder[some], torch.inf)
        alike = distance.topk(_MOST_ALIKE, 1, largest=False).indices
        return some[alike.gather(1, draws.below(_MOST_ALIKE, len(key), 1))[:, 0]]

    def _errors(self, people: DetectedPeople, depths: Tensor) -> dict[str, Tensor]:
        """Errors in sizes of the person, by detector, and the key that people are compared by."""
        key, size = _key(people.joints2d, people.hidden, people.outside)
        of_coco = people.landmarks[:, list(COCO_LANDMARKS)]

        def relative(found: Tensor) -> Tensor:
            places = (found[..., :2] - people.joints2d) / size
            return torch.cat([places, found[..., 2:]], dim=-1)

        return {
            "key": key,
            "rough": relative(people.rough),
            "thunder": relative(people.thunder),
            "landmarks": relative(of_coco)[..., :2],
            "depth": (of_coco[..., 2] - DEPTH_SLOPE * depths) / size[..., 0],
            "guess": people.landmarks[..., 2] / size[..., 0],
            "confidence": people.landmarks[..., 3:],
        }


def _has_thunder(thunder: Tensor) -> Tensor:
    """(B,) bool."""
    return thunder.isfinite().flatten(1).all(1)


def _near(places: Tensor, draws: Draws) -> Tensor:
    return places + draws.normal(_JITTER_PX, *places.shape)


def _blurred(confidences: Tensor, draws: Draws) -> Tensor:
    """Confidences a little higher or lower, between 0 and 1."""
    return (
        confidences.logit(1e-4) + draws.normal(_CONFIDENCE_SPREAD, *confidences.shape)
    ).sigmoid()


class _Move:
    """A small turn, change of size and shift of each of some pictures about their middle."""

    def __init__(self, draws: Draws, num: int) -> None:
        self._draws = draws
        angle = draws.normal(0.12, num)
        rotvec = angle.new_zeros(num, 3)
        rotvec[:, 2] = angle
        self.turn = rotvec_to_rotmat(rotvec)
        """(B, 3, 3) of the body; the picture's y points down, and turns the other way."""
        self.scale = draws.uniform(0.88, 1.12, num)[:, None, None]
        self._shift = draws.normal(5.0, num, 1, 2)

    def __call__(self, points: Tensor) -> Tensor:
        middle = 128.0
        turned = (points - middle) @ self.turn[:, :2, :2]  # its transpose, of row vectors
        return turned * self.scale + middle + self._shift

    def jittered(self, points: Tensor) -> Tensor:
        """Moved points that err by a little more."""
        return self(points) + self._draws.normal(0.7, *points.shape)


def _key(keypoints: Tensor, hidden: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 68) what people are compared by, and their sizes (B, 1, 1) px."""
    centred = keypoints - keypoints.mean(1, keepdim=True)
    size = centred.square().sum(-1).mean(1).sqrt().clamp_min(4.0)[:, None, None]
    marks = [_HIDDEN_COUNTS * hidden.float(), _OUTSIDE_COUNTS * outside.float()]
    return torch.cat([(centred / size).flatten(1), *marks], dim=1), size


def _depths(people: DetectedPeople, body: KeypointBody) -> Tensor:
    """(N, 17) px of the true keypoints behind the middle of the hips."""
    points = half_turn_x(body.pose(people.betas, people.rotmats).points)
    flat = points[..., :2] - points[..., :2].mean(1, keepdim=True)
    seen = people.joints2d - people.joints2d.mean(1, keepdim=True)
    scale = (flat * seen).sum((1, 2)) / flat.square().sum((1, 2))
    depth = points[..., 2] - points[:, _HIPS, 2].mean(1, keepdim=True)
    return depth * scale[:, None]


def _mirror_images(people: DetectedPeople, depths: Tensor) -> tuple[DetectedPeople, Tensor]:
    """The same people in the mirror, as far as errors need them."""
    flip = list(COCO_FLIP)
    true = people.joints2d[:, flip].clone()
    true[..., 0] = PROXY_SIZE - true[..., 0]
    rough = LiftInput(people.rough, people.landmarks).mirrored()
    thunder = LiftInput.of_keypoints(people.thunder).mirrored().keypoints
    image = DetectedPeople(
        joints2d=true, outside=people.outside[:, flip], hidden=people.hidden[:, flip],
        rotvecs=people.rotvecs, betas=people.betas,
        rough=rough.keypoints, thunder=thunder, landmarks=rough.landmarks,
    )  # fmt: skip
    return image, depths[:, flip]
