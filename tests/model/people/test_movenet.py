from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hierprob3d.model.body.skeleton import COCO_FLIP
from hierprob3d.model.people.movenet import MULTIPOSE_PATH, THUNDER_PATH, MoveNet, load_movenet
from hierprob3d.model.people.movenet_decoding import (
    average_with_mirrored,
    decode_people,
    decode_person,
    pose_agreement,
)

NO_PRIOR = torch.full((1, 17, 3), torch.nan)


@pytest.fixture(scope="module")
def multipose() -> MoveNet:
    return load_movenet(MULTIPOSE_PATH)


@pytest.fixture(scope="module")
def thunder() -> MoveNet:
    return load_movenet(THUNDER_PATH)


def pattern(height: int = 64, width: int = 64) -> Tensor:
    """A picture of known numbers, (1, 3, H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack(((7 * x + 3 * y) % 256, (5 * x + 11 * y) % 256, (x * y) % 256))[None]


# by the separate PyTorch port that was held against the TensorFlow graphs (head maps within
# 8.4e-5) when the weights were converted.
MULTIPOSE_MAPS = {
    "center": (-5.67179, 1.51245, -5.25233),
    "kpt_heatmap": (-6.72244, 1.32166, -5.97935),
    "kpt_regress": (0.38560, 4.21406, 2.18863),
    "kpt_offset": (0.68271, 0.78197, 0.16918),
    "box_scale": (11.49260, 6.80595, 9.27977),
    "box_offset": (0.51921, 0.18180, 0.46158),
}
THUNDER_MAPS = {
    "center": (-3.46338, 0.63535, -3.16289),
    "kpt_heatmap": (-4.01496, 0.58639, -3.86787),
    "kpt_regress": (0.91322, 3.82103, 2.83964),
    "kpt_offset": (0.50772, 0.52250, 0.35358),
}


def summary(values: Tensor) -> Tensor:
    return torch.stack((values.mean(), values.std(), values[0, -1, 5, 7]))


@torch.inference_mode()
def test_head_maps_are_those_of_the_published_networks(
    multipose: MoveNet, thunder: MoveNet
) -> None:
    for network, size, expected in (
        (multipose, (96, 160), MULTIPOSE_MAPS),
        (thunder, (64, 64), THUNDER_MAPS),
    ):
        maps = network(pattern(*size))
        assert list(maps) == list(expected)
        for name, values in maps.items():
            assert values.shape[-2:] == (size[0] // 4, size[1] // 4)
            torch.testing.assert_close(
                summary(values), torch.tensor(expected[name]), atol=3e-4, rtol=1e-5
            )


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(multipose: MoveNet) -> None:
    picture = pattern(96, 64)
    batch = torch.cat((255 - picture, picture, torch.zeros_like(picture)))
    together, alone = multipose(batch), multipose(picture)
    for name, values in alone.items():
        torch.testing.assert_close(together[name][1:2], values, atol=2e-4, rtol=0)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="bundled in model/assets/movenet"):
        load_movenet(tmp_path / "none.safetensors")


def test_files_of_other_content_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    plain = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(2)}, plain)
    partial = tmp_path / "partial.safetensors"
    state = load_file(THUNDER_PATH)
    del state["conv1.bias"]
    settings = '{"width": 1.75, "multi": false}'
    save_file(state, partial, metadata={"movenet": settings})
    for path in (text, plain, partial):
        with pytest.raises(ValueError, match=f"{path.name} is not a MoveNet safetensors file"):
            load_movenet(path)
    for width in (1e6, -1, "wide"):
        save_file(state, partial, metadata={"movenet": json.dumps({"width": width, "multi": True})})
        with pytest.raises(ValueError, match=f"{partial.name} is not a MoveNet safetensors file"):
            load_movenet(partial)


def drawn_maps(people: list[tuple[int, int]], multi: bool) -> dict[str, Tensor]:
    """Maps (1, C, 32, 32) of people centred at cells (row, column), joint j at (2, j - 8) off.

    Every offset is a quarter of a cell down and half a cell right.
    """
    maps = {
        "center": torch.full((1, 1, 32, 32), -20.0),
        "kpt_heatmap": torch.full((1, 17, 32, 32), -20.0),
        "kpt_regress": torch.zeros(1, 34, 32, 32),
        "kpt_offset": torch.tensor([0.25, 0.5])
        .repeat(17)[None, :, None, None]
        .expand(1, 34, 32, 32),
    }
    joints = torch.arange(17)
    maps["kpt_regress"][0, 0::2] = 2.0
    maps["kpt_regress"][0, 1::2] = (joints - 8.0)[:, None, None]
    for row, col in people:
        maps["center"][0, 0, row, col] = 3.0
        maps["kpt_heatmap"][0, joints, row + 2, col + joints - 8] = 2.0
    if multi:
        maps["box_scale"] = torch.tensor([10.0, 20.0])[None, :, None, None].expand(1, 2, 32, 32)
        maps["box_offset"] = torch.full((1, 2, 32, 32), 0.5)
    return maps


def drawn_keypoints(row: int, col: int) -> Tensor:
    """What `drawn_maps` means, x y in px: four per cell."""
    x = 4 * (col + torch.arange(17) - 8 + 0.5)
    return torch.stack((x, torch.full((17,), 4 * (row + 2 + 0.25))), -1)


def test_decode_people_reads_boxes_keypoints_and_scores() -> None:
    people = decode_people(drawn_maps([(8, 15), (24, 16)], multi=True), 3)
    first, second = (0, 1) if people.boxes[0, 0, 1] < people.boxes[0, 1, 1] else (1, 0)
    # Middle (8.5, 15.5), half sizes (5, 10) cells: columns 5.5..25.5, rows 3.5..13.5.
    torch.testing.assert_close(people.boxes[0, first], torch.tensor([22.0, 14.0, 102.0, 54.0]))
    torch.testing.assert_close(people.keypoints[0, first, :, :2], drawn_keypoints(8, 15))
    torch.testing.assert_close(people.keypoints[0, second, :, :2], drawn_keypoints(24, 16))
    # Heat and prior are sigmoid(2) = 0.881 and 1 at the joints; the centre is sigmoid(3) = 0.953.
    torch.testing.assert_close(people.keypoints[0, first, :, 2], torch.full((17,), 0.880797))
    assert people.scores[0, first] == pytest.approx(0.880797 * 0.952574, abs=1e-5)
    assert people.scores[0, 2] < 1e-6


def test_boxes_end_at_the_map() -> None:
    people = decode_people(drawn_maps([(1, 10)], multi=True), 1)
    # Rows 1.5 - 5 and columns 10.5 - 10 .. 10.5 + 10.
    torch.testing.assert_close(people.boxes[0, 0], torch.tensor([2.0, 0.0, 82.0, 26.0]))


def test_decode_person_takes_the_central_person_or_the_one_of_the_prior() -> None:
    maps = drawn_maps([(5, 12), (18, 16)], multi=False)
    central = decode_person(maps, NO_PRIOR)
    torch.testing.assert_close(central[0, :, :2], drawn_keypoints(18, 16))
    torch.testing.assert_close(central[0, :, 2], torch.full((17,), 0.880797))
    prior = torch.cat((drawn_keypoints(5, 12) + 1, torch.full((17, 1), 0.5)), -1)[None]
    torch.testing.assert_close(decode_person(maps, prior)[0, :, :2], drawn_keypoints(5, 12))


def test_a_crop_without_prior_does_not_disturb_its_neighbour() -> None:
    maps = drawn_maps([(5, 12), (18, 16)], multi=False)
    both = {name: values.repeat(2, 1, 1, 1) for name, values in maps.items()}
    prior = torch.cat((drawn_keypoints(5, 12), torch.full((17, 1), 0.5)), -1)[None]
    found = decode_person(both, torch.cat((NO_PRIOR, prior)))
    torch.testing.assert_close(found[0, :, :2], drawn_keypoints(18, 16))
    torch.testing.assert_close(found[1, :, :2], drawn_keypoints(5, 12))


def test_maps_of_a_mirrored_picture_average_to_the_maps_themselves() -> None:
    maps = drawn_maps([(9, 13)], multi=False)
    mirrored = {name: values.flip(-1) for name, values in maps.items()}
    mirrored["kpt_heatmap"] = mirrored["kpt_heatmap"][:, list(COCO_FLIP)]
    for name in ("kpt_regress", "kpt_offset"):
        channels = [2 * joint + axis for joint in COCO_FLIP for axis in (0, 1)]
        mirrored[name] = mirrored[name][:, channels].clone()
        # A point dx right of its cell's left edge lies 1 - dx right of the mirrored cell's.
        mirrored[name][:, 1::2] = 1 - mirrored[name][:, 1::2]
    for name, values in average_with_mirrored(maps, mirrored).items():
        torch.testing.assert_close(values, maps[name])


@torch.inference_mode()
def test_mirror_averaging_makes_the_network_symmetric(thunder: MoveNet) -> None:
    picture = pattern()
    maps = average_with_mirrored(thunder(picture), thunder(picture.flip(-1)))
    mirrored = average_with_mirrored(thunder(picture.flip(-1)), thunder(picture))
    heat = mirrored["kpt_heatmap"].flip(-1)[:, list(COCO_FLIP)]
    torch.testing.assert_close(heat, maps["kpt_heatmap"], atol=1e-4, rtol=0)


def test_pose_agreement_is_one_at_the_prior_and_exp_minus_half_a_tenth_off() -> None:
    prior = torch.rand(2, 17, 3, generator=torch.Generator().manual_seed(0)) * 100
    moved = prior + torch.tensor([[[20.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]])
    agreement = pose_agreement(moved, prior, torch.tensor([200.0, 50.0]))
    # One standard deviation is a tenth of the crop's side: 20 of 200 px give exp(-1/2).
    torch.testing.assert_close(agreement, torch.tensor([0.606531, 1.0]))
