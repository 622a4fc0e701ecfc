from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.picture.cameras import half_turn_x, project_body
from hierprob3d.model.picture.drawing import (
    FULL_SPREAD_M,
    SPREAD_RAMP,
    cut_out_crop,
    draw_bodies,
    draw_views,
    shrink_to,
    spread_colours,
    turn_about_vertical,
    vertex_normals,
)
from hierprob3d.model.picture.overlays import draw_keypoints
from tests.model.picture.grey_pictures import GREY, drawn_pixels, grey

TETRAHEDRON = torch.tensor(
    [[[0.0, 0.5, 0.0], [0.3, -0.2, 0.3], [-0.3, -0.2, 0.3], [0.0, -0.2, -0.4]]]
)
# Counter-clockwise seen from outside.
TETRAHEDRON_FACES = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


@pytest.fixture(scope="module")
def t_pose(body: Body) -> torch.Tensor:
    pose = torch.eye(3).expand(1, 23, 3, 3)
    return body(torch.zeros(1, 10), pose, torch.eye(3)[None])[0]


def test_spread_ramp_runs_from_its_first_to_its_last_colour() -> None:
    colours = spread_colours(torch.tensor([0.0, FULL_SPREAD_M, 5.0, FULL_SPREAD_M / 10]))
    torch.testing.assert_close(colours[0], torch.tensor(SPREAD_RAMP[0]))
    torch.testing.assert_close(colours[1], torch.tensor(SPREAD_RAMP[-1]))
    torch.testing.assert_close(colours[2], torch.tensor(SPREAD_RAMP[-1]))
    # A tenth of the range is half a step of the five.
    middle = (torch.tensor(SPREAD_RAMP[0]) + torch.tensor(SPREAD_RAMP[1])) / 2
    torch.testing.assert_close(colours[3], middle)


def test_spread_ramp_grows_lighter_all_the_way() -> None:
    colours = spread_colours(torch.linspace(0, FULL_SPREAD_M, 200))
    luminance = colours @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (luminance.diff() > 0).all()


def test_normals_point_outwards() -> None:
    normals = vertex_normals(TETRAHEDRON, TETRAHEDRON_FACES)
    centre = TETRAHEDRON.mean(1, keepdim=True)
    assert ((TETRAHEDRON - centre) * normals).sum(-1).min() > 0
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(1, 4))


def test_turn_by_90_makes_who_faced_the_viewer_face_the_right_border() -> None:
    # z is towards the viewer, x to the right border (the body's left when it faces the viewer).
    torch.testing.assert_close(
        turn_about_vertical(torch.tensor([0.2, 0.3, 1.0]), 90.0), torch.tensor([1.0, 0.3, -0.2])
    )


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_views_are_those_of_the_original(golden: Path, degrees: int) -> None:
    # The paper's pictures turn by -90 degrees about y, after the half turn about x.
    arrays = np.load(golden / "i_predict.npz")
    flipped = torch.from_numpy(arrays["0_verts_mode_flipped"][:, ::10])
    turned = turn_about_vertical(half_turn_x(flipped), float(degrees))
    expected = torch.from_numpy(arrays[f"0_rot{degrees}_every10"])
    torch.testing.assert_close(half_turn_x(turned), expected, atol=1e-5, rtol=0)


def test_body_stands_upright_and_mirrored_as_in_a_photograph(t_pose: torch.Tensor) -> None:
    # Camera: 0.8 of half a crop per metre, so 1.7 m make about 0.68 of the side of 400 px.
    camera, crop = torch.tensor([[0.8, 0.0, 0.0]]), torch.tensor([[300.0, 250.0, 400.0]])
    body = load_body("open")
    left_half = t_pose[..., 0] > 0  # the body's left lies at positive x
    colours = torch.where(
        left_half[..., None], torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    )
    picture = draw_bodies(grey(500, 600), t_pose, body.faces, camera, crop, colours, opacity=1.0)
    seen = drawn_pixels(picture)
    rows, columns = np.nonzero(seen)
    top, bottom = rows.min(), rows.max()
    arms = seen.sum(1).argmax()  # the row of the spread arms
    assert arms - top < 0.3 * (bottom - top), "the arms must be near the top"
    assert 0.62 * 400 < bottom - top < 0.75 * 400
    red = picture[..., 0].astype(int) > picture[..., 2].astype(int) + 30
    blue = picture[..., 2].astype(int) > picture[..., 0].astype(int) + 30
    assert np.nonzero(red)[1].mean() > 300 > np.nonzero(blue)[1].mean()


def test_body_is_drawn_where_its_joints_project(t_pose: torch.Tensor, body: Body) -> None:
    camera, crop = torch.tensor([[0.7, 0.1, -0.1]]), torch.tensor([[180.0, 220.0, 300.0]])
    picture = draw_bodies(grey(480, 400), t_pose, body.faces, camera, crop)
    points = project_body(t_pose, camera, crop)[0].numpy()
    rows, columns = np.nonzero(drawn_pixels(picture))
    # Pixel (row, column) covers column .. column + 1; its centre must be covered to be drawn.
    assert abs(columns.min() - points[:, 0].min()) <= 1
    assert abs(columns.max() + 1 - points[:, 0].max()) <= 1
    assert abs(rows.min() - points[:, 1].min()) <= 1
    assert abs(rows.max() + 1 - points[:, 1].max()) <= 1


def test_faces_turned_to_the_light_are_brighter(t_pose: torch.Tensor, body: Body) -> None:
    camera, crop = torch.tensor([[0.8, 0.0, 0.0]]), torch.tensor([[150.0, 150.0, 300.0]])
    picture = draw_bodies(grey(300, 300), t_pose, body.faces, camera, crop, opacity=1.0)
    brightness = picture.mean(-1)[drawn_pixels(picture)]
    assert brightness.std() > 15
    assert 60 < brightness.mean() < 220


def test_nearer_person_covers_the_farther(body: Body, t_pose: torch.Tensor) -> None:
    vertices = t_pose.expand(2, -1, -1)
    # Same place; the second is drawn larger per metre, so counts as nearer.
    cameras = torch.tensor([[0.5, 0.0, 0.3], [0.9, 0.0, 0.3]])
    crops = torch.tensor([[150.0, 150.0, 300.0]]).expand(2, 3)
    colours = torch.zeros_like(vertices)
    colours[0, :, 1] = 1.0
    colours[1, :, 0] = 1.0
    one_way = draw_bodies(grey(300, 300), vertices, body.faces, cameras, crops, colours, 1.0)
    other_way = draw_bodies(
        grey(300, 300), vertices, body.faces, cameras.flip(0), crops, colours.flip(0), 1.0
    )
    np.testing.assert_array_equal(one_way, other_way)
    assert one_way[150, 150, 0] > one_way[150, 150, 1], "the nearer, red one must be in front"


def test_people_outside_the_picture_leave_it_unchanged(t_pose: torch.Tensor, body: Body) -> None:
    camera = torch.tensor([[0.8, 0.0, 0.0]])
    for crop in ([2000.0, 100.0, 200.0], [-900.0, 100.0, 200.0], [100.0, -900.0, 200.0]):
        picture = draw_bodies(grey(200, 200), t_pose, body.faces, camera, torch.tensor([crop]))
        assert not drawn_pixels(picture).any()


def test_no_people_leave_the_picture_unchanged(body: Body) -> None:
    empty = torch.zeros(0, body.num_vertices, 3)
    none = torch.zeros(0, 3)
    picture = draw_bodies(grey(40, 50), empty, body.faces, none, none)
    np.testing.assert_array_equal(picture, grey(40, 50))


def test_input_picture_is_not_changed(t_pose: torch.Tensor, body: Body) -> None:
    photograph = grey(200, 200)
    camera, crop = torch.tensor([[0.8, 0.0, 0.0]]), torch.tensor([[100.0, 100.0, 200.0]])
    draw_bodies(photograph, t_pose, body.faces, camera, crop)
    draw_keypoints(photograph, np.full((1, 17, 3), 50.0))
    np.testing.assert_array_equal(photograph, grey(200, 200))


def test_not_finite_body_is_refused(t_pose: torch.Tensor, body: Body) -> None:
    camera, crop = torch.tensor([[torch.nan, 0.0, 0.0]]), torch.tensor([[100.0, 100.0, 200.0]])
    with pytest.raises(ValueError, match="NaN"):
        draw_bodies(grey(200, 200), t_pose, body.faces, camera, crop)


def test_views_show_one_column_per_body_and_one_row_per_turn() -> None:
    bodies = TETRAHEDRON.repeat(3, 1, 1)
    sheet = draw_views(bodies, TETRAHEDRON_FACES, turns=(0.0, 90.0), size=64)
    height, width = sheet.shape[:2]
    assert height == 2 * 64 and width % 3 == 0
    seen = drawn_pixels(sheet, background=255)
    for row in range(2):
        for column in range(3):
            cell = seen[row * 64 : (row + 1) * 64, column * width // 3 : (column + 1) * width // 3]
            assert cell.sum() > 100
    # The apex is up: the upper half of a cell holds less than the lower one.
    assert seen[:32, : width // 3].sum() < seen[32:64, : width // 3].sum()


def test_large_pictures_are_shrunk() -> None:
    picture, scale = shrink_to(grey(3000, 1000), 600)
    assert picture.shape == (600, 200, 3) and scale == 0.2
    small = grey(30, 40)
    assert shrink_to(small, 40)[0] is small and shrink_to(small, 40)[1] == 1


def test_crop_is_cut_where_its_record_says() -> None:
    photograph = np.zeros((100, 120, 3), np.uint8)
    photograph[40:60, 50:70] = 200  # square of 20 px centred on (60, 50)
    crop = cut_out_crop(photograph, (60.0, 50.0, 40.0), size=80)
    bright = crop[..., 0] > 100
    rows, columns = np.nonzero(bright)
    # 40 px become 80: the square covers 20 .. 60 of the crop.
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (20, 60, 20, 60)


def test_crop_beyond_the_border_is_black_there() -> None:
    crop = cut_out_crop(grey(50, 50), (0.0, 25.0, 50.0), size=50)
    assert (crop[:, :24] == 0).all() and (crop[1:49, 26:49] == GREY).all()
