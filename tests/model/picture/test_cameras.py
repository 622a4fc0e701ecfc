"""Cameras: golden values of the original, the conventions by literals, and inverses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.picture.cameras import (
    crop_to_image,
    full_frame_translation,
    half_turn_x,
    image_to_crop,
    intrinsics,
    normalised_to_pixels,
    pixels_to_normalised,
    project_body,
    project_perspective,
    project_weak_perspective,
)
from tests.oracles.paper_cameras import HALF_TURN_X, weak_perspective_to_translation


@pytest.fixture(scope="module")
def stored(golden: Path) -> dict[str, torch.Tensor]:
    with np.load(golden / "k_misc_smpl.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_weak_perspective_as_the_original(stored: dict[str, torch.Tensor]) -> None:
    close(project_weak_perspective(stored["pts"], stored["cam"]), stored["ortho"])


def test_perspective_as_the_original(stored: dict[str, torch.Tensor]) -> None:
    # Recorded with K and the first two rotations of the file; then with focal length 300 and a
    # picture of 256, unrotated.
    rotation, points, translation = stored["rot6d_out"][:2], stored["pts"], stored["persp_t"]
    close(project_perspective(points, stored["K"], translation, rotation), stored["persp_K"])
    camera_matrix = intrinsics(300.0, 256, 256)
    close(project_perspective(points, camera_matrix, translation), stored["persp_f"])


def test_half_turn_as_the_original(stored: dict[str, torch.Tensor]) -> None:
    close(half_turn_x(stored["pts"]), stored["pts_x180"])
    close(stored["pts"] @ torch.tensor(HALF_TURN_X).T, stored["pts_x180"])


def test_translation_as_the_original(stored: dict[str, torch.Tensor]) -> None:
    translation = weak_perspective_to_translation(stored["cam"], 300.0, 256)
    close(translation, stored["wp_cam_t"])


def test_unrotated_body_faces_the_viewer_upright() -> None:
    # Body frame: y up, x to the body's left. Seen from the front the head is up (smaller y) and
    # the left hand to the right of the picture (larger x).
    head, left_hand = [0.0, 0.5, 0.0], [0.7, 0.2, 0.0]
    camera, crop = torch.tensor([0.9, 0.0, 0.0]), torch.tensor([320.0, 240.0, 200.0])
    image = project_body(torch.tensor([head, left_hand]), camera, crop)
    # 320 + 100 * 0.9 * 0.7 = 383; 240 - 100 * 0.9 * 0.5 = 195; 240 - 100 * 0.9 * 0.2 = 222
    close(image, torch.tensor([[320.0, 195.0], [383.0, 222.0]]))
    nose, back = half_turn_x(torch.tensor([[0.0, 0.4, 0.1], [0.0, 0.4, -0.1]]))
    assert nose[2] < back[2]  # z points away from the viewer: the nose is nearer


def test_full_frame_formula_of_the_module_text() -> None:
    points = torch.tensor([[0.3, -0.4, 0.9]], dtype=torch.float64)
    camera = torch.tensor([0.8, 0.1, -0.2], dtype=torch.float64)
    crop = torch.tensor([400.0, 300.0, 250.0], dtype=torch.float64)
    # x: 400 + 125 * 0.8 * (0.3 + 0.1) = 440; y after the half turn is 0.4: 300 + 100 * 0.2 = 320
    expected = torch.tensor([[440.0, 320.0]], dtype=torch.float64)
    torch.testing.assert_close(project_body(points, camera, crop), expected)
    on_crop = normalised_to_pixels(project_weak_perspective(half_turn_x(points), camera), 256)
    torch.testing.assert_close(crop_to_image(on_crop, crop, 256), expected)


def test_normalised_pixels_literals() -> None:
    points = torch.tensor([[-1.0, 1.0], [0.0, 0.5]])
    close(normalised_to_pixels(points, 256), torch.tensor([[0.0, 256.0], [128.0, 192.0]]))
    close(pixels_to_normalised(normalised_to_pixels(points, 300), 300), points)


def test_crop_and_image_are_inverse() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(5, 17, 2, generator=generator, dtype=torch.float64) * 900
    crop = torch.rand(5, 1, 3, generator=generator, dtype=torch.float64) * 500 + 1
    back = crop_to_image(image_to_crop(points, crop), crop)
    torch.testing.assert_close(back, points)
    corner = image_to_crop(torch.tensor([100.0, 100.0]), torch.tensor([200.0, 150.0, 200.0]))
    close(corner, torch.tensor([0.0, 64.0]))  # left border; (100 - 150) / 200 + 1/2 = 1/4


def test_pinhole_literal_and_rotation() -> None:
    matrix = intrinsics(500.0, 640, 480)
    point, towards = torch.tensor([[0.2, -0.1, 0.0]]), torch.tensor([0.0, 0.0, 2.0])
    # 320 + 500 * 0.2 / 2 = 370; 240 - 500 * 0.1 / 2 = 215
    close(project_perspective(point, matrix, towards), torch.tensor([[370.0, 215.0]]))
    angle = 0.6  # not a quarter turn: a transposed matrix must not pass by symmetry
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    turned = torch.tensor([[math.cos(angle), math.sin(angle), 0.0]])
    close(
        project_perspective(torch.tensor([[1.0, 0.0, 0.0]]), matrix, towards, turn),
        project_perspective(turned, matrix, towards),
    )


def test_far_pinhole_agrees_with_weak_perspective() -> None:
    camera, size, focal = torch.tensor([0.9, 0.05, -0.1], dtype=torch.float64), 256, 1e6
    points = torch.rand(20, 3, dtype=torch.float64) - 0.5
    translation = weak_perspective_to_translation(camera, focal, size)
    pinhole = project_perspective(points, intrinsics(focal, size, size).double(), translation)
    weak = normalised_to_pixels(project_weak_perspective(points, camera), size)
    torch.testing.assert_close(pinhole, weak, atol=0.1, rtol=0)


def test_the_pinhole_camera_sees_the_depth_of_the_origin_as_weak_perspective_does() -> None:
    camera = torch.tensor([[0.9, 0.1, 0.25], [1.2, -0.3, 0.0]])
    crop = torch.tensor([[500.0, 100.0, 180.0], [50.0, 400.0, 90.0]])
    size, focal = torch.tensor([[640.0, 480.0]]).expand(2, -1), torch.tensor([800.0, 350.0])
    translation = full_frame_translation(camera, crop, size, focal)
    assert translation[:, 2].tolist() == pytest.approx(
        [2 * 800 / (0.9 * 180), 2 * 350 / (1.2 * 90)]
    )
    flat = torch.tensor([[0.3, 0.5, 0.0], [-0.2, -0.9, 0.0], [0.0, 0.0, 0.0]])
    for person in range(2):
        seen = project_perspective(
            half_turn_x(flat), intrinsics(float(focal[person]), 640, 480), translation[person]
        )
        torch.testing.assert_close(
            seen, project_body(flat, camera[person], crop[person]), atol=1e-3, rtol=0
        )


def test_what_is_nearer_than_the_origin_is_farther_from_the_middle_by_its_share_of_depth() -> None:
    camera, crop = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[320.0, 240.0, 200.0]])
    focal, size = torch.tensor([400.0]), torch.tensor([[640.0, 480.0]])
    translation = full_frame_translation(camera, crop, size, focal)  # 4 m away
    nearer = half_turn_x(torch.tensor([[0.5, 0.5, 0.4]]))
    [seen] = project_perspective(nearer, intrinsics(400, 640, 480), translation[0]).tolist()
    assert seen == pytest.approx([320 + 50 / 0.9, 240 - 50 / 0.9])
