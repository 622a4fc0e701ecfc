"""Every command of docs/from_the_original.md is executed, in a folder laid out as the page says.

Files are the golden ones: the checkpoint, SMPL and both sets of pictures, as the original reads
them. Two networks that say nothing about these commands, and would take most of the time, give
fixed answers: Mask R-CNN finds one person, HRNet the same keypoints in every crop. `--gpu 0` is
executed as `--device cpu`, and `train` up to the first picture, with the settings of its training.
"""

from __future__ import annotations

import os
import pickle
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.dataset as ds
import pytest
import torch
import yaml
from torch import Tensor
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from hierprob3d.configs.paper_training import PAPER_RUN, load_train_config
from hierprob3d.configs.training import TrainConfig
from hierprob3d.pipelines.command.cli import COMMANDS, _parser, main
from hierprob3d.pipelines.command.usage import option_actions

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "from_the_original.md").read_text(encoding="utf-8")
WEIGHTS, HRNET = "poseMF_shapeGaussian_net_weights.tar", "pose_hrnet_w48_384x288.pth"
HUB_NAME = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.url.rsplit("/", 1)[-1]


def commands(section: str) -> list[list[str]]:
    """The words of the commands below a heading of the page."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.S)).splitlines()
    lines = [line for line in lines if line.startswith("hierprob3d ")]
    found = [shlex.split(line.replace("--gpu 0", "--device cpu"))[1:] for line in lines]
    assert found, f"no command below {section}"
    return found


class OnePerson:
    """In place of Mask R-CNN."""

    def __call__(self, pictures: list[Tensor]) -> list[dict[str, Tensor]]:
        height, width = pictures[0].shape[-2:]
        box = torch.tensor([[0.2 * width, 0.1 * height, 0.9 * width, 1.0 * height]])
        return [{"labels": torch.tensor([1]), "boxes": box, "scores": torch.tensor([0.99])}]


def _same_keypoints(crops: Tensor) -> Tensor:
    """In place of HRNet: (B, 17, 96, 72) heatmaps with one maximum each."""
    heatmaps = torch.zeros(len(crops), 17, 96, 72)
    for keypoint in range(17):
        heatmaps[:, keypoint, 10 + 4 * keypoint, 20 + 2 * keypoint] = 0.9
    return heatmaps


@pytest.fixture(scope="module")
def world(
    golden: Path, golden_smpl: Path, golden_checkpoints: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """The folder in which the page's commands are typed."""
    folder = tmp_path_factory.mktemp("world")
    for name in ("in", "experiment/saved_models", "3DPW/sequenceFiles/test", "hub/hub/checkpoints"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "model" / "assets" / "demo" / "astronaut.png", folder / "in")
    shutil.copytree(golden_smpl, folder / "model_files" / "smpl", copy_function=os.link)
    shutil.copy(golden / "model_files" / "J_regressor_h36m.npy", folder / "model_files")
    checkpoint = golden_checkpoints / WEIGHTS
    (folder / WEIGHTS).symlink_to(checkpoint)
    (folder / "experiment" / "saved_models" / "epoch_295.tar").symlink_to(checkpoint)
    for name in (HRNET, f"hub/hub/checkpoints/{HUB_NAME}"):
        (folder / name).write_bytes(b"not read")
    settings = {"TRAIN": {"BATCH_SIZE": 48}, "DATA": {"HEATMAP_GAUSSIAN_STD": 3.0}}
    (folder / "experiment" / "pose_shape_cfg.yaml").write_text(yaml.safe_dump(settings))
    history = {"train_MPJPE-PA": [0.09, 0.08], "val_MPJPE-PA": [0.085, 0.08]}
    (folder / "experiment" / "log.pkl").write_bytes(pickle.dumps(history))
    pw3d = golden / "h_pw3d"
    shutil.copy(pw3d / "downtown_fake_00.pkl", folder / "3DPW" / "sequenceFiles" / "test")
    (folder / "3DPW" / "imageFiles").symlink_to(pw3d / "imageFiles")
    (folder / "ssp_3d").symlink_to(golden / "h2_ssp3d")
    for scene in ("bedroom_train_images", "bedroom_val_images"):
        (folder / "lsun" / scene).mkdir(parents=True)
        cv2.imwrite(str(folder / "lsun" / scene / "a.jpg"), np.full((256, 300, 3), 90, np.uint8))
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


@pytest.fixture(autouse=True)
def in_world(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    monkeypatch.setenv("TORCH_HOME", str(world / "hub"))
    network = "hierprob3d.model.people"
    monkeypatch.setattr(f"{network}.mask_rcnn.load_mask_rcnn", lambda *_: OnePerson())
    monkeypatch.setattr(f"{network}.hrnet_keypoints.load_hrnet", lambda *_: _same_keypoints)


def test_predict(world: Path) -> None:
    drawn = []
    for words in commands("Predict"):
        assert main([*words, "--num-samples", "4"]) == 0
        output = world / "out"
        (person,) = ds.dataset(output / "people").to_table().to_pylist()
        assert np.isfinite(person["pose_mode"]).all() and not person["whole_picture"]
        drawn.append(sorted(path.name for path in (output / "pictures").rglob("*.*")))
        shutil.rmtree(output)
    kinds = [[re.split(r"[-.]", name)[-2] for name in names] for names in drawn]
    assert kinds == [["figure"], ["samples", "uncropped"], ["figure"], []]
    assert drawn[2][0].endswith(".png")


def test_evaluate(world: Path, capsys: pytest.CaptureFixture) -> None:
    for words in commands("Evaluate"):
        assert main([*words, "--direct_num_workers", "1"]) == 0  # the answers are of this process
    assert len(np.load(world / "pw3d" / "hrnet_results_centred.npy")) == 8
    printed = capsys.readouterr().out
    for name, count in (("3dpw", 8), ("ssp3d", 3)):
        rows = ds.dataset(world / f"{name}_eval" / "frames").to_table()
        assert rows.num_rows == count
    assert "84.90 mm" in printed and "13.60 mm" in printed  # the published figures
    errors = np.load(world / "3dpw_eval" / "MPJPE-PA_per_frame.npy")
    assert errors.shape == (8,) and np.isfinite(errors).all()


def test_train(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[TrainConfig, str, int | None]] = []

    def train(config: TrainConfig, folder: str, render_only: bool, resume: int | None) -> int:
        runs.append((config, folder, resume))
        return 0

    monkeypatch.setattr("hierprob3d.training.train.train", train)
    for words in commands("Train"):
        assert main(words) == 0
    papers = load_train_config(PAPER_RUN, ["device=cpu"])
    whole, by_name, resumed = runs
    assert whole == by_name == (papers, "experiment", None)
    assert resumed[1:] == ("experiment", 100)
    assert resumed[0].optimiser.batch_size == 48  # of the folder's pose_shape_cfg.yaml
    assert resumed[0].data.proxy.heatmap_std == 3.0
    for split in ("train", "val"):
        assert (world / "train_files" / "lsun_backgrounds" / split / "000000.jpg").exists()
    assert cv2.imread(str(world / "curves.png")) is not None


def test_options_of_the_page_are_of_the_commands() -> None:
    """Each spelling in the table's second column is one that some command takes."""
    known = {option for name in COMMANDS for option in option_actions(_parser(name)[1])}
    known = {option.replace("_", "-") for option in known}
    cells = [line.split("|")[2] for line in PAGE.splitlines() if line.count("|") >= 3]
    named = {word for cell in cells for word in re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", cell)}
    assert len(named) > 30
    assert sorted(word for word in named if word.replace("_", "-") not in known) == []
