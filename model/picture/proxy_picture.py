"""Pictures of what the network is given: edges with numbered keypoints, and their confidences."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hierprob3d.model.body.skeleton import COCO_EDGES, COCO_KEYPOINT_NAMES

from .drawing import Picture
from .lettering import write_text
from .overlays import side_colour

_BACKGROUND = (18, 20, 26)
_LEFT_OUT = (120, 124, 132)
_LABEL_REACH = (15, 24, 34, 46)
"""Distances from a keypoint at which its number may stand, px of a 448 px picture."""

_NUM_DIRECTIONS = 12


@dataclass(frozen=True)
class ProxyKeypoints:
    """The 17 keypoints of a person in the crop."""

    places: NDArray[np.floating]
    """(17, 2) x, y from 0 to 1 across the crop."""

    confidences: NDArray[np.floating]
    """(17,) of the keypoint model."""

    drawn: NDArray[np.bool_]
    """(17,) whether the network is given it."""


def draw_proxy(edges: NDArray[np.uint8], keypoints: ProxyKeypoints, size: int) -> Picture:
    """Edges, white on dark, and the keypoints with their numbers; those left out are hollow.

    Args:
        edges: (S, S) 0..255.
        keypoints: in the crop; those outside are not shown.
        size: side of the picture, px.
    """
    bright = cv2.resize(edges, (size, size), interpolation=cv2.INTER_LINEAR)[..., None] / 255
    dark = np.asarray(_BACKGROUND)
    picture = (dark + (np.asarray((226, 230, 236)) - dark) * bright).astype(np.uint8)
    shown = np.isfinite(keypoints.places).all(-1)
    shown &= ((keypoints.places >= 0) & (keypoints.places <= 1)).all(-1)
    points = np.rint(np.nan_to_num(keypoints.places) * size).astype(int).clip(-size, 2 * size)
    both = shown & keypoints.drawn
    thickness = max(1, round(size / 224))
    for start, end in COCO_EDGES:
        if both[start] and both[end]:
            colour = side_colour(start, end)
            cv2.line(
                picture,
                points[start].tolist(),
                points[end].tolist(),
                colour,
                thickness,
                cv2.LINE_AA,
            )
    radius = max(2, round(size / 90))
    numbers = np.flatnonzero(shown)
    labels = label_places(points[numbers], size)
    for number, label in zip(numbers.tolist(), labels, strict=True):
        _draw_keypoint(picture, number, points[number], label, bool(both[number]), radius)
    return picture


def _draw_keypoint(
    picture: Picture, number: int, point: NDArray, label: NDArray, drawn: bool, radius: int
) -> None:
    colour = side_colour(number) if drawn else _LEFT_OUT
    centre = point.tolist()
    cv2.line(picture, centre, label.tolist(), colour, 1, cv2.LINE_AA)
    cv2.circle(picture, centre, radius, colour if drawn else _BACKGROUND, -1, cv2.LINE_AA)
    cv2.circle(picture, centre, radius, _BACKGROUND if drawn else colour, 1, cv2.LINE_AA)
    _draw_number(picture, number, label, colour, picture.shape[0] / 448)


def _draw_number(
    picture: Picture, number: int, place: NDArray, colour: tuple[int, int, int], scale: float
) -> None:
    """A keypoint's number in a disc of its colour."""
    x, y = int(place[0]), int(place[1])
    cv2.circle(picture, (x, y), round(9 * scale), colour, -1, cv2.LINE_AA)
    write_text(
        picture, str(number), (x, y + round(4 * scale)), 0.37 * scale, (0, 0, 0), middle=True
    )


def label_places(points: NDArray[np.integer], size: int) -> NDArray[np.integer]:
    """Where the numbers of K points stand: near each, apart from the points and from each other.

    Args:
        points: (K, 2) px.
        size: side of the picture, px.

    Returns:
        (K, 2) px, inside the picture.
    """
    scale = size / 448
    angles = np.arange(_NUM_DIRECTIONS) * (2 * np.pi / _NUM_DIRECTIONS)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    offsets = np.concatenate([reach * scale * circle for reach in _LABEL_REACH])
    far = np.repeat(np.arange(len(_LABEL_REACH)), _NUM_DIRECTIONS)
    outwards = points - points.mean(0) if len(points) else points
    taken = points.astype(float)
    labels = np.zeros((0, 2))
    for point, direction in zip(points, outwards, strict=True):
        places = point + offsets
        overlap = 10 * _overlap(places, taken, 15 * scale) + 40 * _overlap(
            places, labels, 19 * scale
        )
        beyond = (np.abs(places - size / 2) > size / 2 - 10 * scale).any(-1)
        unlike = -(circle @ direction)[np.arange(len(offsets)) % _NUM_DIRECTIONS]
        cost = overlap + 100 * beyond + 0.5 * far + 0.2 * np.sign(unlike)
        labels = np.concatenate([labels, places[cost.argmin()][None]])
    return np.rint(labels).astype(int).clip(0, size - 1)


def _overlap(places: NDArray, others: NDArray, reach: float) -> NDArray:
    """(M,) how much discs of a diameter at M places overlap K others, in diameters."""
    distances = np.linalg.norm(places[:, None] - others[None], axis=-1)
    return (1 - distances / reach).clip(min=0).sum(-1)


def draw_confidences(keypoints: ProxyKeypoints, height: int, width: int) -> Picture:
    """List of the keypoints: number, name and confidence as bar and digits; left-out ones grey."""
    picture = np.full((height, width, 3), _BACKGROUND, np.uint8)
    scale = height / 448
    step = height / (len(COCO_KEYPOINT_NAMES) + 0.4)
    for number, name in enumerate(COCO_KEYPOINT_NAMES):
        middle = round((number + 0.7) * step)
        drawn = bool(keypoints.drawn[number])
        colour = side_colour(number) if drawn else _LEFT_OUT
        _draw_number(picture, number, np.array([round(16 * scale), middle]), colour, scale)
        baseline = middle + round(4 * scale)
        grey = (226, 230, 236) if drawn else _LEFT_OUT
        words = name.replace("_", " ")
        write_text(picture, words, (round(32 * scale), baseline), 0.4 * scale, grey)
        confidence = float(np.nan_to_num(keypoints.confidences[number]))
        left, full = round(136 * scale), width - round(182 * scale)
        end = left + round(min(max(confidence, 0.0), 1.0) * full)
        half = round(3 * scale)
        picture[middle - half : middle + half, left : left + full] = (52, 56, 64)
        picture[middle - half : middle + half, left:end] = colour
        place = (width - round(8 * scale), baseline)
        write_text(picture, f"{confidence:.2f}", place, 0.4 * scale, grey, ends=True)
    return picture
