from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch.nn import functional

from hierprob3d.configs.paper_training import PAPER_RUN, load_train_config
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.picture.rasterizer import rasterize
from hierprob3d.training.look.surface import SurfacePixels
from hierprob3d.training.look.texture_maps import (
    TextureMap,
    load_densepose_uv,
    own_texture_map,
    with_densepose_parts,
)
from hierprob3d.training.look.textures import Textures, bilinear
from hierprob3d.training.people.people_setup import PoseChoice, configured_people
from hierprob3d.training.random.draws import Draws


@pytest.fixture(scope="module")
def smpl(tmp_path_factory: pytest.TempPathFactory) -> Body:
    """OpenBody with ten idle vertices more, which makes it SMPL's size."""
    with np.load(load_body("open").path) as archive:
        arrays = {key: archive[key] for key in archive if key[:4] not in ("part", "vt", "ft")}
    for key, axis in (("v_template", 0), ("shapedirs", 0), ("posedirs", 0), ("weights", 0),
                      ("J_regressor", 1)):  # fmt: skip
        widths = [(0, 10 if i == axis else 0) for i in range(arrays[key].ndim)]
        arrays[key] = np.pad(arrays[key], widths)
    path = tmp_path_factory.mktemp("smpl") / "SMPL_NEUTRAL.npz"
    np.savez(path, **arrays)
    return load_body(path)


@pytest.fixture(scope="module")
def charts() -> dict[str, Any]:
    """UV_Processed.mat's arrays for that body: a vertex for each part that a body vertex is in."""
    body = load_body("open")
    assert body.face_parts is not None
    corners = np.column_stack([np.repeat(body.face_parts, 3), body.faces.numpy().ravel()])
    pairs, inverse = np.unique(corners, axis=0, return_inverse=True)
    place = body.v_template.numpy()[pairs[:, 1]]
    low, high = place.min(0), place.max(0)
    place = (place - low) / (high - low)
    return {
        "All_Faces": (inverse.reshape(-1, 3) + 1).astype(np.uint16),
        "All_FaceIndices": body.face_parts[:, None],
        "All_vertices": (pairs[:, 1] + 1).astype(np.uint16)[None],
        "All_U_norm": place[:, :1].astype(np.float64),
        "All_V_norm": place[:, 1:2].astype(np.float64),
        "All_U": np.zeros((3, 1)),  # not read
    }


@pytest.fixture(scope="module")
def densepose(
    smpl: Body, charts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> TextureMap:
    path = tmp_path_factory.mktemp("uv") / "UV_Processed.mat"
    savemat(path, charts)
    return load_densepose_uv(path, smpl)


def _seen(body: Body, faces: torch.Tensor) -> SurfacePixels:
    """Two pictures of the T-posed body, from the front and from behind, 128 px."""
    front = half_turn_x(body.v_template[None])
    views = torch.cat([front, front * torch.tensor([-1.0, 1.0, -1.0])])
    screen = views * torch.tensor([50.0, 50.0, 1.0]) + torch.tensor([64.0, 64.0, 0.0])
    return SurfacePixels.of(rasterize(screen, faces, 128, 128, cull_back_faces=True), faces)


def _draws() -> Draws:
    return Draws(torch.Generator().manual_seed(0))


def _write(path: Path, grey: np.ndarray, nongrey: np.ndarray) -> Path:
    np.savez(path, grey=grey, nongrey=nongrey)
    return path


def _cells() -> np.ndarray:
    """A paper-sized texture whose red is ten times the part of the cell, blue its row in it."""
    part = np.arange(24).reshape(4, 6).T + 1
    red = part.repeat(200, 0).repeat(200, 1) * 10
    blue = np.tile(np.arange(200), 6)[:, None].repeat(800, 1)
    return np.stack([red, np.zeros_like(red), blue], axis=-1).astype(np.uint8)


def test_every_part_has_its_cell_down_the_columns(
    smpl: Body, densepose: TextureMap, tmp_path: Path
) -> None:
    path = _write(tmp_path / "t.npz", np.zeros((0, 1200, 800, 3), np.uint8), _cells()[None])
    textures = Textures(path, densepose)
    pixels = _seen(smpl, densepose.faces)
    colours = textures.albedo(textures.draw(_draws(), 2), pixels) * 255
    assert densepose.face_parts is not None
    parts = torch.from_numpy(densepose.face_parts)[pixels.face]
    assert len(parts.unique()) > 20
    # Cells meet without a border: at v = 0 of a chart half a pixel of the next one is read.
    inside = (colours[:, 2] > 2) & (colours[:, 2] < 197)
    assert inside.float().mean() > 0.95
    torch.testing.assert_close(colours[inside, 0], parts[inside] * 10.0, atol=0.2, rtol=0)
    # v points up: the head is in the upper, the feet in the lower rows of their cells.
    assert colours[parts >= 23, 2].max() < 60 and colours[parts == 5, 2].min() > 150


def test_places_are_those_of_the_paper(smpl: Body, densepose: TextureMap, charts: Any) -> None:
    # The paper's renderer gives vertices UV on a texture whose y points up, and reads it turned
    # upside down with the corners aligned.
    faces = charts["All_Faces"].astype(int) - 1
    column, row = np.divmod(charts["All_FaceIndices"].ravel().astype(int) - 1, 6)
    u = charts["All_U_norm"][faces, 0] / 4 + column[:, None] / 4
    v = 1 - ((1 - charts["All_V_norm"][faces, 0]) / 6 + row[:, None] / 6)
    texture = torch.rand(1, 3, 60, 40)
    grid = torch.from_numpy(np.stack([u, v], -1)).float()[None] * 2 - 1
    expected = functional.grid_sample(
        texture.flip(2), grid, mode="bilinear", align_corners=True, padding_mode="border"
    )[0]
    pictures = (texture * 255).round().byte()
    found = bilinear(
        pictures.permute(0, 2, 3, 1), torch.zeros(grid[0, ..., 0].numel(), dtype=torch.long),
        densepose.corners.flatten(0, 1),
    )  # fmt: skip
    torch.testing.assert_close(found.T.reshape(expected.shape), expected, atol=3e-3, rtol=0)
    assert smpl.num_vertices == 6890 and (densepose.faces < 6880).all()


def test_faces_look_outwards_whatever_the_file(
    smpl: Body, densepose: TextureMap, charts: dict[str, Any], tmp_path: Path
) -> None:
    savemat(tmp_path / "inward.mat", charts | {"All_Faces": charts["All_Faces"][:, ::-1]})
    turned = load_densepose_uv(tmp_path / "inward.mat", smpl)
    assert torch.equal(turned.faces, densepose.faces)
    assert torch.equal(turned.corners, densepose.corners)


def test_smpl_gets_densepose_parts(smpl: Body, densepose: TextureMap) -> None:
    body = with_densepose_parts(smpl, densepose)
    assert smpl.face_parts is None and smpl.vertex_parts is None
    assert body.face_parts is not None and body.vertex_parts is not None
    assert len(body.face_parts) == len(body.faces)
    assert set(body.vertex_parts[:6880]) == set(range(1, 25)) and not body.vertex_parts[6880:].any()


def test_the_paper_s_files_make_pictures(
    smpl: Body, charts: dict[str, Any], pose_file: Path, tmp_path: Path
) -> None:
    savemat(tmp_path / "UV_Processed.mat", charts)
    red = np.full((1, 1200, 800, 3), (255, 0, 0), np.uint8)
    _write(tmp_path / "smpl_train_textures.npz", red, red)
    with np.load(pose_file) as archive:
        poses = archive["poses"]
    poses[:, 0] = np.pi  # upright before a camera, y down
    np.savez(tmp_path / "smpl_train_poses.npz", poses=poses, fnames=np.array(["3dpw"] * 40))
    Image.new("RGB", (300, 200), (0, 0, 255)).save(tmp_path / "room.jpg")
    data = load_train_config(PAPER_RUN, [
        f"data.train_poses={tmp_path}/smpl_train_poses.npz", f"data.body_model={smpl.path}",
        f"data.textures={tmp_path}/smpl_train_textures.npz", f"data.backgrounds={tmp_path}",
        f"data.densepose_uv={tmp_path}/UV_Processed.mat",
    ]).data  # fmt: skip
    people = configured_people(data, PoseChoice.for_training(data), "cpu")
    batch = people.sample(torch.Generator().manual_seed(0), 8)
    nose, ankles = batch.joints2d[:, 0, 1], batch.joints2d[:, 15:, 1].mean(1)
    assert (nose < ankles).all()
    person = batch.rgb.permute(0, 2, 3, 1)[batch.silhouette]
    room = batch.rgb.permute(0, 2, 3, 1)[~batch.silhouette]
    assert (person[:, 0] > person[:, 1]).float().mean() > 0.7  # the rest is missing parts
    assert (room[:, :2] < 0.1).all()


def test_openbody_has_a_map_of_its_own(tmp_path: Path) -> None:
    body = load_body("open")
    own = own_texture_map(body)
    assert own.corners.shape == (len(body.faces), 3, 2)
    assert own.corners.min() >= 0 and own.corners.max() <= 1
    red = np.full((1, 64, 32, 3), (255, 0, 0), np.uint8)
    textures = Textures(_write(tmp_path / "t.npz", red, red), own)
    colours = textures.albedo(textures.draw(_draws(), 2), _seen(body, body.faces))
    assert len(colours) > 2000
    assert torch.equal(colours, torch.tensor([1.0, 0, 0]).expand_as(colours))


def test_one_draw_in_twenty_is_grey(tmp_path: Path) -> None:
    body = load_body("open")
    grey = np.zeros((3, 4, 4, 3), np.uint8)
    coloured = np.ones((8, 4, 4, 3), np.uint8)
    textures = Textures(_write(tmp_path / "t.npz", grey, coloured), own_texture_map(body))
    drawn = textures.draw(_draws(), 4000)
    assert 0.04 < (drawn < 3).float().mean() < 0.06
    assert drawn.unique().tolist() == list(range(11))
    assert torch.equal(drawn, textures.draw(_draws(), 4000))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"grey": np.zeros((1, 1200, 800, 3), np.uint8)}, "no array 'nongrey'"),
        ({"grey": np.zeros((1, 8, 8, 3)), "nongrey": np.zeros((1, 8, 8, 3))}, "it is float64"),
        ({"grey": np.zeros((8, 8, 3), np.uint8)}, r"\(8, 8, 3\)"),
        ({"grey": np.array([None])}, "no npz of plain arrays"),
        ({name: np.zeros((1, 600, 400, 3), np.uint8) for name in ("grey", "nongrey")},
         "600 x 400 px; DensePose's grid of 24 parts is 1200 x 800"),
        ({name: np.zeros((0, 1200, 800, 3), np.uint8) for name in ("grey", "nongrey")},
         "holds no texture"),
    ],
)  # fmt: skip
def test_wrong_textures_are_named(
    arrays: dict[str, Any], message: str, densepose: TextureMap, tmp_path: Path
) -> None:
    path = tmp_path / "textures.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as raised:
        Textures(path, densepose)
    assert "textures.npz" in str(raised.value)


def test_a_missing_or_foreign_texture_file_is_named(densepose: TextureMap, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data.textures=PATH"):
        Textures(tmp_path / "none.npz", densepose)
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ValueError, match="no npz of plain arrays"):
        Textures(tmp_path / "text.npz", densepose)


def test_wrong_maps_are_named(smpl: Body, charts: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data.densepose_uv=PATH"):
        load_densepose_uv(tmp_path / "none.mat", smpl)
    path = tmp_path / "uv.mat"
    path.write_text("not a MATLAB file, but long enough to be looked at as one " * 10)
    with pytest.raises(ValueError, match="no MATLAB file"):
        load_densepose_uv(path, smpl)
    savemat(path, {key: value for key, value in charts.items() if key != "All_V_norm"})
    with pytest.raises(ValueError, match="has no All_V_norm"):
        load_densepose_uv(path, smpl)
    savemat(path, charts | {"All_vertices": charts["All_vertices"] + 20})
    with pytest.raises(ValueError, match="do not fit together"):
        load_densepose_uv(path, smpl)
    savemat(path, charts)
    with pytest.raises(ValueError, match="maps SMPL's 6890 vertices"):
        load_densepose_uv(path, load_body("open"))
    with pytest.raises(ValueError, match="has no texture coordinates"):
        own_texture_map(smpl)
