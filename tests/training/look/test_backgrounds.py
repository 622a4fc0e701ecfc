from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hierprob3d.configs.synthetic_people import BackgroundConfig
from hierprob3d.training.look.backgrounds import Backgrounds
from hierprob3d.training.look.picture_bank import PictureBank
from hierprob3d.training.random.draws import Draws


def write_wall(folder: Path, name: str, size: tuple[int, int]) -> None:
    """A red picture of some height and width."""
    cv2.imwrite(str(folder / name), np.full((*size, 3), (0, 0, 200), np.uint8))


def test_a_crop_is_what_bilinear_sampling_gives() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 30), (25, 60))]
    bank = PictureBank(pictures, "cpu")
    corner, side = (
        torch.tensor([[3.5, 2.0], [20.0, 1.0]]),
        torch.tensor([[21.0, 21.0], [24.0, 24.0]]),
    )
    crops = bank.crop(torch.tensor([0, 1]), corner, side, 20)  # shrunk by little: full size
    for picture, (left, top), length, crop in zip(pictures, corner, side, crops, strict=True):
        centres = (torch.arange(20) + 0.5) / 20 * length[0]
        x, y = (centres + left) / picture.shape[1], (centres + top) / picture.shape[0]
        grid = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), dim=-1)[None] * 2 - 1
        expected = torch.nn.functional.grid_sample(
            torch.from_numpy(picture).permute(2, 0, 1)[None].float(), grid,
            padding_mode="border", align_corners=False,
        )  # fmt: skip
        torch.testing.assert_close(crop, expected[0].permute(1, 2, 0), atol=1e-2, rtol=0)


def test_shrinking_averages() -> None:
    # One pixel in two is white: without averaging a quarter of the size would see only one kind.
    board = np.indices((256, 256)).sum(0) % 2 * 255
    bank = PictureBank([np.repeat(board[..., None], 3, axis=2).astype(np.uint8)], "cpu")
    crop = bank.crop(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([[256.0, 256.0]]), 64)
    assert (crop - 127.5).abs().max() <= 1


def test_photographs_become_backgrounds(tmp_path: Path, draws: Draws) -> None:
    with pytest.raises(FileNotFoundError, match="no readable photograph"):
        Backgrounds(tmp_path)
    write_wall(tmp_path, "wall.png", (300, 400))
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    backgrounds = Backgrounds(tmp_path, BackgroundConfig(drawn_share=0.0))
    cut = backgrounds.sample(draws, 3, 64)
    assert cut.shape == (3, 64, 64, 3)
    assert (cut[..., 0] > 0.4).all() and (cut[..., 1:] == 0).all()  # red, whatever the gain
    assert backgrounds.digest.startswith("1 photographs, sha256 ")


def test_all_of_a_picture_can_be_asked_for(tmp_path: Path, draws: Draws) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 256, axis=1).repeat(3, axis=2)
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    config = BackgroundConfig(drawn_share=0.0, crop=(1.0, 1.0), gain=(1.0, 1.0))
    cut = Backgrounds(tmp_path, config).sample(draws, 2, 256)
    expected = torch.from_numpy(ramp / 255).float().expand(2, -1, -1, -1)
    torch.testing.assert_close(cut, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("streamed", [False, True])
def test_whole_pictures_can_be_pressed_into_the_square(
    streamed: bool, tmp_path: Path, draws: Draws
) -> None:
    halves = np.zeros((64, 128, 3), np.uint8)
    halves[:, 64:] = 255
    cv2.imwrite(str(tmp_path / "halves.png"), halves)
    config = BackgroundConfig(
        drawn_share=0.0, gain=(1.0, 1.0), whole=True, mirrored=0.0, streamed=streamed
    )
    pressed = Backgrounds(tmp_path, config).sample(draws, 2, 64)
    assert pressed.shape == (2, 64, 64, 3)
    assert (pressed[:, :, :31] == 0).all() and (pressed[:, :, 33:] == 1).all()


def test_streamed_pictures_are_all_used_and_damaged_ones_passed_over(
    tmp_path: Path, draws: Draws, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        grey = np.full((50, 60, 3), 40 * (number + 1), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), grey)
    (tmp_path / "4.png").write_bytes(b"not a picture")
    config = BackgroundConfig(drawn_share=0.0, gain=(1.0, 1.0), gigabytes=0.0, streamed=True)
    backgrounds = Backgrounds(tmp_path, config)
    cut = backgrounds.sample(draws, 60, 16)
    greys = (cut * 255).round().unique().tolist()
    assert greys == [40, 80, 120, 160] and "4.png cannot be read" in caplog.text
    assert backgrounds.digest.startswith("5 photographs, sha256 of their names")
    for path in tmp_path.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="files in a row cannot be read"):
        backgrounds.sample(draws, 1, 16)


def test_a_folder_too_large_for_memory_is_used_in_part(tmp_path: Path) -> None:
    for number in range(6):
        write_wall(tmp_path, f"{number}.png", (100, 100 + number))
    config = BackgroundConfig(drawn_share=0.0, gigabytes=2.5 * 5.3e-5)  # 2.5 such pictures
    digest = Backgrounds(tmp_path, config).digest
    assert digest.startswith("2 photographs")
    assert Backgrounds(tmp_path, config).digest == digest  # the same ones each time


def test_drawn_pictures_differ_and_mix_with_photographs(tmp_path: Path, draws: Draws) -> None:
    drawn = Backgrounds(None, BackgroundConfig(num_drawn=3)).sample(draws, 40, 32)
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert len(drawn.flatten(1).unique(dim=0)) == 40  # three pictures, but never the same
    write_wall(tmp_path, "wall.png", (100, 100))
    mixed = Backgrounds(tmp_path, BackgroundConfig(num_drawn=3, drawn_share=0.5))
    red = (mixed.sample(draws, 200, 16)[..., 1:] == 0).flatten(1).all(1)
    assert 0.35 < red.float().mean() < 0.65
