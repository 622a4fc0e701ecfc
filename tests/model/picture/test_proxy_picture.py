"""The proxy's picture shows which keypoints the network was given, each with its number."""

from __future__ import annotations

import numpy as np

from hierprob3d.model.picture.proxy_picture import (
    ProxyKeypoints,
    draw_confidences,
    draw_proxy,
    label_places,
)

SIZE = 448


def keypoints(drawn: list[int], confidence: float = 0.5) -> ProxyKeypoints:
    places = np.stack([np.linspace(0.1, 0.9, 17), np.full(17, 0.5)], axis=-1)
    return ProxyKeypoints(places, np.full(17, confidence), np.isin(np.arange(17), drawn))


def test_edges_are_bright_and_the_rest_dark() -> None:
    edges = np.zeros((256, 256), np.uint8)
    edges[:, 128] = 255
    nowhere = ProxyKeypoints(np.full((17, 2), np.nan), np.zeros(17), np.zeros(17, bool))
    picture = draw_proxy(edges, nowhere, SIZE)
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture[:, 224].min() > 150 and picture[:, :200].max() < 60


def test_keypoints_that_the_network_is_given_are_discs_and_others_hollow() -> None:
    picture = draw_proxy(np.zeros((256, 256), np.uint8), keypoints([5]), SIZE)
    given, left_out = (round((0.1 + 0.05 * number) * SIZE) for number in (5, 9))
    assert picture[224, given].tolist() == [255, 120, 40]  # left: orange
    assert picture[224, left_out].max() < 60


def test_keypoints_outside_the_crop_are_not_shown() -> None:
    outside = ProxyKeypoints(np.full((17, 2), 1.5), np.ones(17), np.ones(17, bool))
    picture = draw_proxy(np.zeros((256, 256), np.uint8), outside, SIZE)
    assert picture.max() < 60


def test_numbers_of_crowded_keypoints_stand_apart_and_inside() -> None:
    face = np.array([[20, 20], [26, 14], [14, 14], [32, 18], [8, 18], [440, 440], [3, 445]])
    labels = label_places(face, SIZE)
    distances = np.linalg.norm(labels[:, None] - labels[None], axis=-1) + 99 * np.eye(len(face))
    assert distances.min() >= 15 and (labels >= 0).all() and (labels < SIZE).all()
    assert np.linalg.norm(labels - face, axis=-1).max() < 48


def test_bars_are_as_long_as_the_confidences() -> None:
    wide, narrow = (
        (draw_confidences(keypoints([0], confidence), SIZE, 240)[:26] > 200).all(-1).any(0).sum()
        for confidence in (0.9, 0.1)
    )
    assert wide - narrow > 30
