from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hierprob3d.model.people.hrnet import (
    HRNet,
    decode_heatmaps,
    estimate_keypoints,
    load_hrnet,
    normalise,
)

CHECKPOINT = "pose_hrnet_w48_384x288.pth"


@pytest.fixture(scope="module")
def net(golden_checkpoints: Path) -> HRNet:
    return load_hrnet(golden_checkpoints / CHECKPOINT)


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "b_hrnet.npz"))


def test_published_keys_and_shapes(golden: Path) -> None:
    published = json.loads((golden / "b_hrnet_keys.json").read_text())
    ours = {key: list(tensor.shape) for key, tensor in HRNet().state_dict().items()}
    assert ours == {key: entry[0] for key, entry in published.items()}
    assert len(ours) == 1754


def test_heatmaps_of_the_original(net: HRNet, arrays: dict[str, np.ndarray]) -> None:
    pixels = torch.from_numpy(arrays["fixed_input_uint8"]).float()
    with torch.no_grad():
        heatmaps = net(((pixels - 128) / 64).permute(2, 0, 1)[None])
    np.testing.assert_allclose(heatmaps, arrays["fixed_heatmaps"], atol=5e-5)
    keypoints, confidences = decode_heatmaps(heatmaps)
    np.testing.assert_array_equal(keypoints, arrays["fixed_kps"])
    np.testing.assert_allclose(confidences, arrays["fixed_conf"], atol=5e-5)


def test_keypoints_of_the_original(net: HRNet, arrays: dict[str, np.ndarray]) -> None:
    crops = np.stack([arrays[f"{person}_cropped_image_f16"] for person in range(2)])
    keypoints, confidences = estimate_keypoints(net, torch.from_numpy(crops).float())
    for person in range(2):
        np.testing.assert_array_equal(keypoints[person], arrays[f"{person}_joints2D"])
        # The crop is stored rounded to half precision.
        np.testing.assert_allclose(confidences[person], arrays[f"{person}_conf"], atol=5e-2)


def test_decoding_of_the_original(arrays: dict[str, np.ndarray]) -> None:
    keypoints, confidences = decode_heatmaps(torch.from_numpy(arrays["dec_in"]))
    np.testing.assert_array_equal(keypoints, arrays["dec_kps"])
    np.testing.assert_array_equal(confidences, arrays["dec_conf"])


def test_decoding_corner_cases() -> None:
    heatmaps = torch.full((1, 3, 4, 5), -1.0)
    heatmaps[0, 1, 2, 3] = 0.4
    heatmaps[0, 2, 1, 4] = heatmaps[0, 2, 3, 0] = 0.2
    keypoints, confidences = decode_heatmaps(heatmaps)
    # Nothing positive gives (0, 0); x is the column; the first of equal maxima wins.
    assert keypoints.tolist() == [[[0, 0], [3, 2], [4, 1]]]
    np.testing.assert_allclose(confidences, [[-1.0, 0.4, 0.2]])


def test_normalise_centres_the_mean_colour() -> None:
    # ImageNet's mean colour is 0; one red deviation (0.229) more is 1 in the red channel.
    rgb = torch.tensor([0.485 + 0.229, 0.456, 0.406])[None, :, None, None]
    expected = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    torch.testing.assert_close(normalise(rgb), expected)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        load_hrnet(tmp_path / "nowhere.pth")


def test_foreign_prefix_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "wrapped.pth"
    torch.save({f"module.{key}": value for key, value in HRNet().state_dict().items()}, path)
    with pytest.raises(ValueError, match=r"1754 keys missing \(conv1.weight.*module.conv1.weight"):
        load_hrnet(path)


def test_files_of_2018_without_counts_of_batches_are_read(tmp_path: Path) -> None:
    weights = {
        name: torch.rand_like(value.float())
        for name, value in HRNet().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    loaded = load_hrnet(tmp_path / "old.pth").state_dict()
    assert len(weights) < len(loaded) == 1754
    for name in ("conv1.weight", "stage4.2.fuse_layers.0.3.1.running_var", "final_layer.bias"):
        torch.testing.assert_close(loaded[name], weights[name], atol=0, rtol=0)


def test_what_the_network_has_not_is_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "more.pth"
    torch.save({**HRNet().state_dict(), "total_ops": torch.zeros(1)}, path)
    load_hrnet(path)
    assert "more.pth: what HRNet-W48 has not is left out: total_ops" in caplog.text


def test_one_missing_key_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    weights = HRNet().state_dict()
    del weights["final_layer.bias"]
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r"17 COCO\): 1 keys missing \(final_layer.bias\)\.$"):
        load_hrnet(path)


def test_another_number_of_keypoints_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mpii.pth"
    weights = HRNet().state_dict()
    weights["final_layer.weight"] = torch.zeros(16, 48, 1, 1)
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r"1 of another shape \(final_layer.weight \(16, "):
        load_hrnet(path)


class _Intruder:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 / 0",)


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"\x80\x02}q\x00(X", b"c" * 99, None, [1, 2]]
)
def test_other_files_are_refused_without_running_code(tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content or _Intruder(), path)
    with pytest.raises(ValueError, match="other.pth"):
        load_hrnet(path)
