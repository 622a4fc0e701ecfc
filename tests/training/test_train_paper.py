"""The paper's run in small: its settings, with OpenBody and drawn clothes, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hierprob3d.configs.paper_training import PAPER_RUN, load_train_config
from hierprob3d.model.files.weight_files import read_torch_checkpoint
from hierprob3d.model.network.checkpoints import load_distribution_net
from hierprob3d.training.run.run_log import TRAINING, VALIDATION, read_log
from hierprob3d.training.train import train


@pytest.fixture
def sources(pose_file: Path, tmp_path: Path) -> list[str]:
    """Settings of a handful of poses and one background, in place of the published files."""
    with np.load(pose_file) as arrays:
        poses = arrays["poses"][:5]
    names = np.array(["h36m_a", "amass_b", "up3d_c", "h36m_d", "amass_e"])
    for split, some in (("train", slice(0, 4)), ("val", slice(3, 5))):
        np.savez(tmp_path / f"{split}.npz", poses=poses[some], fnames=names[some])
    (tmp_path / "lsun").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (64, 90, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "lsun" / "a.jpg"), picture)
    return [
        f"data.train_poses={tmp_path}/train.npz", f"data.val_poses={tmp_path}/val.npz",
        f"data.backgrounds={tmp_path}/lsun", "data.val_backgrounds=null", "data.textures=null",
        "data.val_textures=null", "data.densepose_uv=null", "data.body_model=open", "device=cpu",
        "num_threads=1", "log_every=1", "log_tensorboard=false", "contact_sheet_people=0",
        "optimiser.batch_size=2", "phases.0.epochs=1", "phases.1.epochs=1",
        "phases.1.num_samples=1",
    ]  # fmt: skip


def test_the_papers_run_in_small(sources: list[str], tmp_path: Path) -> None:
    config = load_train_config(PAPER_RUN, sources)
    folder = tmp_path / "run"
    assert train(config, folder) == 0
    log = read_log(folder / "log.jsonl")
    learnt = [line for line in log if line["kind"] == TRAINING]
    judged = [line for line in log if line["kind"] == VALIDATION]
    assert len(learnt) == 2  # the poses of the three sets once an epoch, in whole batches
    assert [line["epoch"] for line in judged] == [0, 1]  # all validation poses
    values = torch.tensor([line[name] for line in learnt for name in ("total", "PVE", "vertices")])
    assert values.isfinite().all()
    assert not list(folder.rglob("*.npz"))  # no picture is stored
    for split in ("train", "val"):
        description = json.loads((folder / split / "description.json").read_text())
        assert description["backgrounds"].startswith("1 photographs, sha256 of their names")
    checkpoint = folder / "checkpoints" / "epoch_001.tar"
    content = read_torch_checkpoint(checkpoint)
    metrics = content["best_epoch_val_metrics"]
    best = judged[content["best_epoch"]]
    assert metrics["PVE-SC"] == pytest.approx(best["PVE-SC"] / 1000)  # metres there
    assert load_distribution_net(checkpoint).config.sign_rule == "paper"
