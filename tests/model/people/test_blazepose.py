"""The network is the published one, and its weights are read whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from hierprob3d.model.files.weight_files import WeightsError, write_parts
from hierprob3d.model.people.blazepose import BLAZEPOSE_PATH, BlazePose, load_blazepose
from hierprob3d.model.people.blazepose_decoding import refine_landmarks


@pytest.fixture(scope="module")
def network() -> BlazePose:
    return load_blazepose(with_mask=True)


def pattern() -> Tensor:
    """A picture of known numbers, (1, 3, 256, 256)."""
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    bands = torch.stack(((7 * x + 3 * y) % 256, (5 * x + 11 * y) % 256, (x * y) % 256))
    return bands[None].float() / 255


# Mean, standard deviation and one value of each output, by the separate PyTorch port that was held
# against the TensorFlow Lite interpreter when the weights were converted.
EXPECTED = {
    "landmarks": (39.30743, 61.7747, 127.44614),
    "heatmap": (-10.66016, 8.77134, -7.21789),
    "mask": (-29.82581, 16.08675, -8.99003),
}
PRESENCE = 0.9920


@torch.inference_mode()
def test_outputs_are_those_of_the_published_network(network: BlazePose) -> None:
    found = network(pattern())
    assert set(found) == set(EXPECTED) | {"presence"}
    for name, expected in EXPECTED.items():
        values = found[name]
        summary = torch.stack((values.mean(), values.std(), values.flatten()[150]))
        torch.testing.assert_close(summary, torch.tensor(expected), atol=5e-3, rtol=1e-4)
    assert found["presence"].sigmoid().item() == pytest.approx(PRESENCE, abs=1e-4)


@torch.inference_mode()
def test_without_the_mask_the_rest_is_the_same(network: BlazePose) -> None:
    network.with_mask = False
    try:
        found = network(pattern())
    finally:
        network.with_mask = True
    assert set(found) == {"landmarks", "heatmap", "presence"}
    torch.testing.assert_close(found["landmarks"], network(pattern())["landmarks"])


@torch.inference_mode()
def test_the_outline_is_the_mask_in_half_its_size(
    network: BlazePose, astronaut: np.ndarray
) -> None:
    picture = torch.from_numpy(astronaut.copy()).permute(2, 0, 1)[None].float() / 255
    network.with_outline = True
    try:
        found = network(interpolate(picture, size=(256, 256), mode="area"))
    finally:
        network.with_outline = False
    mask, outline = avg_pool2d(found["mask"].sigmoid(), 2) > 0.5, found["outline"] > 0
    assert mask.float().mean() > 0.2
    assert ((mask & outline).sum() / (mask | outline).sum()).item() > 0.93


def test_landmarks_move_to_confident_heat_near_them() -> None:
    landmarks = torch.tensor([[[40.0, 80.0, 5.0, 1.0, 2.0]] * 3])
    heatmap = torch.full((1, 3, 64, 64), -20.0)
    heatmap[0, 0, 21, 9] = heatmap[0, 0, 21, 11] = 3.0  # near, confident
    heatmap[0, 1, 21, 9] = -1.0  # near, not confident
    heatmap[0, 2, 30, 9] = 3.0  # confident, not near
    refined = refine_landmarks(landmarks, heatmap)
    torch.testing.assert_close(refined[0, 0, :2], torch.tensor([40.0, 84.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(refined[0, 1:], landmarks[0, 1:])
    assert refined[0, 0, 2:].tolist() == [5, 1, 2]


@pytest.mark.parametrize("place", [-9.0, 260.0, 1e6])
def test_landmarks_outside_the_crop_stay(place: float) -> None:
    landmarks = torch.tensor([[[place, 100.0, 0.0, 0.0, 0.0]]])
    heatmap = torch.full((1, 1, 64, 64), 3.0)
    torch.testing.assert_close(refine_landmarks(landmarks, heatmap), landmarks)


def test_what_is_no_folder_of_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="bundled in model/assets/blazepose"):
        load_blazepose(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds no weights: it has no index\.json"):
        load_blazepose(tmp_path / "empty")


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    write_parts(tmp_path / "other", {"a": torch.zeros(2)}, {})
    with pytest.raises(WeightsError, match="other is not a folder of BlazePose's weights of ours"):
        load_blazepose(tmp_path / "other")
    changed = tmp_path / "changed"
    shutil.copytree(BLAZEPOSE_PATH, changed)
    index = json.loads((changed / "index.json").read_text())
    index["parts"] = {name: 64 * "0" for name in index["parts"]}
    (changed / "index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="changed is not a folder of BlazePose's weights"):
        load_blazepose(changed)
