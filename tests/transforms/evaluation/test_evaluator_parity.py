"""An evaluation of golden rows beside a frame-by-frame one in the paper's order of operations.

The other side is written with smplx, OpenCV's rotations and NumPy, so that bodies, the turning of
targets and projections have an oracle outside this repository.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hierprob3d.configs.evaluation import DATASETS, EvaluateConfig
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.checkpoints import load_distribution_net
from hierprob3d.model.network.distribution_net import DistributionNet, NetOutput
from hierprob3d.model.picture.proxy import make_proxy
from hierprob3d.transforms.datasets.eval_item import EvalItem
from hierprob3d.transforms.datasets.labels import VisibilityRule
from hierprob3d.transforms.datasets.ssp3d import Ssp3dDataset
from hierprob3d.transforms.evaluation.evaluator import Evaluator

smplx = pytest.importorskip("smplx")

COCO_OF_SMPLX = [24, 26, 25, 28, 27, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8]
CONFIG = EvaluateConfig(
    dataset="ssp3d", data="d", output="o", device="cpu", num_samples=2,
    metrics=("PVE", "PVE-SC", "PVE-PA", "PVE-T", "PVE-T-SC", "joints2D-L2E", "silhouette-IOU"),
)  # fmt: skip


@pytest.fixture(scope="module")
def net(golden_checkpoints: Path) -> DistributionNet:
    return load_distribution_net(golden_checkpoints / "poseMF_shapeGaussian_net_weights.tar")


@pytest.fixture(scope="module")
def items(golden: Path) -> list[EvalItem]:
    dataset = Ssp3dDataset(str(golden / "h2_ssp3d"), DATASETS["ssp3d"], VisibilityRule(None, ()))
    return [dataset.load(row) for row in range(len(dataset))]


def smplx_body(folder: Path, gender: str) -> torch.nn.Module:
    return smplx.create(str(folder / f"SMPL_{gender.upper()}.pkl"), model_type="smpl")


def true_points(folder: Path, item: EvalItem) -> tuple[np.ndarray, np.ndarray]:
    """Upright true vertices and those in the T-pose."""
    pose = item.pose.astype(np.float32).copy()
    half_turn = cv2.Rodrigues(np.array([np.pi, 0, 0]))[0]
    pose[:3] = cv2.Rodrigues(half_turn @ cv2.Rodrigues(pose[:3])[0])[0][:, 0]
    body, betas = smplx_body(folder, item.gender), torch.from_numpy(item.betas)[None]
    pose_tensor = torch.from_numpy(pose)[None]
    posed = body(body_pose=pose_tensor[:, 3:], global_orient=pose_tensor[:, :3], betas=betas)
    return posed.vertices[0].detach().numpy(), body(betas=betas).vertices[0].detach().numpy()


def predicted_points(folder: Path, output: NetOutput) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upright vertices, vertices in the T-pose, and keypoints in the crop, of one person."""
    body = smplx.SMPLLayer(str(folder / "SMPL_NEUTRAL.pkl"))
    posed = body(
        body_pose=output.pose_mode, global_orient=output.global_rotmat[:, None],
        betas=output.shape_mean,
    )  # fmt: skip
    flipped = posed.joints[0, COCO_OF_SMPLX].numpy() * [1, -1, -1]
    scale, shift = output.camera[0, 0].item(), output.camera[0, 1:].numpy()
    pixels = (scale * (flipped[:, :2] + shift) + 1) * 128
    reposed = smplx_body(folder, "neutral")(betas=output.shape_mean).vertices
    return posed.vertices[0].numpy(), reposed[0].detach().numpy(), pixels


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())


def scaled(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    a, b = source - source.mean(0), target - target.mean(0)
    return a * np.sqrt((b**2).sum() / (a**2).sum()) + target.mean(0)


def rotated(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    return a @ (u @ flip @ vt) * (s @ np.diag(flip)) / (a**2).sum() + target.mean(0)


@torch.inference_mode()
def test_rows_equal_a_frame_by_frame_evaluation(
    golden_smpl: Path, net: DistributionNet, items: list[EvalItem]
) -> None:
    genders = ("neutral", "male", "female")
    bodies = {gender: load_body(golden_smpl, gender) for gender in genders}
    columns = Evaluator(CONFIG, net, bodies).rows(items)
    for row, item in enumerate(items):
        rgb = torch.from_numpy(item.image.transpose(2, 0, 1) / 255.0).float()[None]
        joints2d, drawn = torch.from_numpy(item.joints2d)[None], torch.ones(1, 17, dtype=torch.bool)
        output = net(make_proxy(rgb, joints2d, drawn, rounding="truncate"))
        vertices, reposed, pixels = predicted_points(golden_smpl, output)
        true_vertices, true_reposed = true_points(golden_smpl, item)
        expected = {
            "PVE": distance(vertices, true_vertices),
            "PVE-SC": distance(scaled(vertices, true_vertices), true_vertices),
            "PVE-PA": distance(rotated(vertices, true_vertices), true_vertices),
            "PVE-T": distance(reposed, true_reposed),
            "PVE-T-SC": distance(scaled(reposed, true_reposed), true_reposed),
            "joints2D-L2E": distance(pixels, item.joints2d),
        }
        for name, value in expected.items():
            assert columns[name][row] == pytest.approx(value, rel=2e-5), name
