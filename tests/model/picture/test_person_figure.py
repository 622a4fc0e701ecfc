"""The figure shows what is known of a person, and no colours where no samples were drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.picture.person_figure import SQUARE, FigureParts, draw_person_figure
from hierprob3d.model.picture.proxy_picture import ProxyKeypoints


@pytest.fixture(scope="module")
def parts() -> FigureParts:
    body = load_body()
    t_pose = body.v_template
    return FigureParts(
        crop=np.full((SQUARE, SQUARE, 3), 90, np.uint8),
        edges=np.zeros((256, 256), np.uint8),
        keypoints=ProxyKeypoints(np.full((17, 2), 0.5), np.ones(17), np.ones(17, bool)),
        mode=t_pose,
        t_pose=t_pose,
        faces=body.faces,
        camera=torch.tensor([0.9, 0.0, 0.0]),
        spread=torch.full((len(t_pose),), 0.3),
        height="1.70 m",
    )


def saturation(picture: np.ndarray) -> np.ndarray:
    return picture.max(-1).astype(int) - picture.min(-1)


def test_the_crop_stands_first_and_the_mode_over_it_last(parts: FigureParts) -> None:
    figure = draw_person_figure(parts)
    grey = (figure == 90).all(-1)
    crop = np.s_[42 : 42 + SQUARE, 24 : 24 + SQUARE]
    assert grey[crop].all()
    over = figure[42 : 42 + SQUARE, -24 - SQUARE : -24]
    drawn = (over != 90).any(-1)
    assert 0.1 < drawn.mean() < 0.5 and saturation(over[drawn]).mean() > 50


def test_without_samples_bodies_are_plain_and_there_is_no_scale(parts: FigureParts) -> None:
    figure = draw_person_figure(replace(parts, spread=None))
    assert figure.shape == draw_person_figure(parts).shape
    over = figure[42 : 42 + SQUARE, -24 - SQUARE : -24]
    assert saturation(over).max() < 60
    below = figure[42 + SQUARE : 42 + SQUARE + 34]
    assert (below == 255).all()


def test_all_bodies_have_one_scale_and_stay_in_their_cells(parts: FigureParts) -> None:
    short = replace(parts, mode=parts.mode / 2)
    bottom = draw_person_figure(short)[-24 - 440 : -24, 24:-24]
    bodies = (bottom != 246).any(-1) & (bottom != 255).any(-1) & (saturation(bottom) > 12)
    turned, standing = bodies[:, :287].any(1).sum(), bodies[:, -287:].any(1).sum()
    assert standing == pytest.approx(2 * turned, abs=8) and standing < 440
