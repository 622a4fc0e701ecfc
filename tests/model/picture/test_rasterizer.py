from __future__ import annotations

import pytest
import torch

from hierprob3d.model.picture.rasterizer import interpolate, rasterize, rasterizing_by
from tests.oracles import pytorch3d_standin

# Two triangles of a 4 x 3 picture: a large far one and a small near one in its corner.
VERTICES = torch.tensor([[[0.0, 0, 5], [4, 0, 5], [0, 3, 5], [0.0, 0, 1], [2, 0, 1], [0, 2, 1]]])
FACES = torch.tensor([[0, 1, 2], [3, 4, 5]])


def test_the_nearer_face_wins_and_empty_pixels_say_so() -> None:
    fragments = rasterize(VERTICES, FACES, 3, 4)
    # By hand: pixel centres (x + .5, y + .5) inside 3x + 4y <= 12, and inside x + y <= 2.
    expected = torch.tensor([[1, 1, 0, -1], [1, 0, -1, -1], [0, -1, -1, -1]])
    assert torch.equal(fragments.face_ids[0], expected)
    assert torch.equal(fragments.mask, fragments.face_ids >= 0)
    assert fragments.depth[0, 0, 0] == 1 and fragments.depth[0, 0, 2] == 5
    assert fragments.depth[0, 2, 3] == torch.inf


def test_barycentrics_return_the_pixel_centre() -> None:
    fragments = rasterize(VERTICES, FACES, 3, 4)
    position = interpolate(fragments, FACES, VERTICES)
    rows, columns = fragments.mask[0].nonzero(as_tuple=True)
    torch.testing.assert_close(position[0, rows, columns, 0], columns + 0.5)
    torch.testing.assert_close(position[0, rows, columns, 1], rows + 0.5)
    assert (position[0][~fragments.mask[0]] == 0).all()


def test_perspective_interpolates_in_space_not_on_the_screen() -> None:
    # A segment from depth 1 to depth 3 seen edge on: halfway on the screen the point has depth
    # 1 / mean(1/1, 1/3) = 1.5, and lies a quarter along it in space ((1.5 - 1) / 2).
    vertices = torch.tensor([[[0.0, 0, 1], [2, 0, 3], [0, 2, 1], [2, 2, 3]]])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    vertices = vertices - torch.tensor([0.5, 0.5, 0.0])  # pixel (1, 1) lies at the middle
    along = torch.tensor([[[0.0], [1.0], [0.0], [1.0]]])
    fragments = rasterize(vertices, faces, 2, 2, perspective=True)
    assert fragments.depth[0, 0, 0] == pytest.approx(1.5)
    assert interpolate(fragments, faces, along)[0, 0, 0, 0] == pytest.approx(0.25)
    flat = rasterize(vertices, faces, 2, 2)
    assert flat.depth[0, 0, 0] == pytest.approx(2.0)


def test_faces_behind_the_camera_are_left_out() -> None:
    behind = VERTICES.clone()
    behind[0, 3:, 2] = -1
    fragments = rasterize(behind, FACES, 3, 4, perspective=True)
    assert (fragments.face_ids != 1).all() and fragments.mask.any()


def test_culling_does_not_change_a_closed_surface() -> None:
    body = pytest.importorskip("hierprob3d.model.body.mesh_body").load_body("open")
    screen = body.v_template * torch.tensor([50.0, -50.0, -50.0]) + torch.tensor([64.0, 64, 200])
    both = rasterize(screen[None], body.faces, 128, 128)
    front = rasterize(screen[None], body.faces, 128, 128, cull_back_faces=True)
    assert torch.equal(both.mask, front.mask)
    # Only where the skin folds over itself may a back face be the nearest.
    moved = (both.depth - front.depth)[both.mask].abs() > 0.2
    assert moved.float().mean() < 0.01


def test_a_picture_does_not_depend_on_its_batch_or_on_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.rand(3, 30, 3, generator=generator) * torch.tensor([40.0, 30, 10])
    faces = torch.randint(0, 30, (25, 3), generator=generator)
    together = rasterize(vertices, faces, 30, 40)
    monkeypatch.setattr("hierprob3d.model.picture.rasterizer.MAX_CANDIDATES", 100)
    for index in range(3):
        alone = rasterize(vertices[index : index + 1], faces, 30, 40)
        assert torch.equal(alone.face_ids[0], together.face_ids[index])
        torch.testing.assert_close(alone.barycentrics[0], together.barycentrics[index])


def test_negative_depths_are_ordered() -> None:
    near = VERTICES.clone()
    near[..., 2] -= 10  # -5 and -9: the second face stays the nearer one
    assert torch.equal(
        rasterize(near, FACES, 3, 4).face_ids, rasterize(VERTICES, FACES, 3, 4).face_ids
    )


def test_a_body_that_is_not_finite_leaves_the_others_alone() -> None:
    broken = torch.cat([VERTICES, VERTICES * torch.nan])
    fragments = rasterize(broken, FACES, 3, 4)
    assert torch.equal(fragments.face_ids[0], rasterize(VERTICES, FACES, 3, 4).face_ids[0])
    assert not fragments.mask[1].any()


def test_a_backend_may_be_chosen_for_all_that_is_drawn() -> None:
    with rasterizing_by("opengl"), pytest.raises(ValueError, match="choose from"):
        rasterize(VERTICES, FACES, 3, 4)
    rasterize(VERTICES, FACES, 3, 4)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="choose from"):
        rasterize(VERTICES, FACES, 3, 4, backend="opengl")


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("depth", [0.0, -3.0])
def test_pytorch3d_is_asked_in_its_own_frame(
    depth: float, cull: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its documentation; the test below asks pytorch3d itself where it is installed."""
    pytorch3d_standin.install(monkeypatch)
    turned = VERTICES.flip(1)  # faces the viewer
    for vertices in (VERTICES, turned):
        vertices = vertices + torch.tensor([0.1, -0.25, depth])
        ours = rasterize(vertices, FACES, 3, 4, cull_back_faces=cull)
        theirs = rasterize(vertices, FACES, 3, 4, cull_back_faces=cull, backend="pytorch3d")
        assert torch.equal(theirs.face_ids, ours.face_ids)
        torch.testing.assert_close(theirs.depth, ours.depth)
        torch.testing.assert_close(theirs.barycentrics, ours.barycentrics)


def test_pytorch3d_is_named_when_it_is_missing() -> None:
    try:
        import pytorch3d  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="pytorch3d is not installed"):
            rasterize(VERTICES, FACES, 3, 4, backend="pytorch3d")
    else:
        theirs = rasterize(VERTICES, FACES, 3, 4, backend="pytorch3d")
        assert torch.equal(theirs.face_ids, rasterize(VERTICES, FACES, 3, 4).face_ids)
