from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.metric_table import METRIC_NAMES
from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.picture.cameras import half_turn_x
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.transforms.datasets.eval_item import EvalItem
from hierprob3d.transforms.evaluation.evaluation_shards import (
    EvaluationContext,
    evaluate_shard,
    new_rows,
    row_item,
)
from hierprob3d.transforms.evaluation.evaluator import Evaluator, project_to_crop, silhouettes

CAMERA = torch.tensor([0.8, 0.05, 0.3])
CONFIG = EvaluateConfig(
    dataset="synthetic", data="d", output="o", metrics=METRIC_NAMES, num_samples=3, best_of=(1, 2),
    batch_size=4, device="cpu",
)  # fmt: skip


class Oracle:
    """A network that knows the truth, or what it is told instead."""

    metadata = None

    def __init__(
        self,
        pose: torch.Tensor,
        betas: torch.Tensor,
        concentration: float = 1e6,
        camera: torch.Tensor = CAMERA,
    ) -> None:
        self.rotmats = rotvec_to_rotmat(pose.unflatten(-1, (24, 3)))
        self.betas, self.concentration, self.camera = betas, concentration, camera
        self.start = 0

    def eval(self) -> Oracle:
        return self

    def to(self, _: torch.device) -> Oracle:
        return self

    def __call__(self, proxy: torch.Tensor) -> NetOutput:
        assert proxy.shape[1:] == (18, 256, 256)
        rows = slice(self.start, self.start + len(proxy))
        mode = self.rotmats[rows, 1:]
        upright = half_turn_x(self.rotmats[rows, 0].mT).mT
        ones = torch.ones(len(proxy), 23, 3)
        return NetOutput(
            pose_F=self.concentration * mode, pose_U=mode, pose_S=self.concentration * ones,
            pose_V=torch.eye(3).expand_as(mode), pose_mode=mode,
            shape_mean=self.betas[rows], shape_std=torch.full((len(proxy), 10), 1e-4),
            global_rot6d=upright[..., :2].flatten(1), global_rotmat=upright,
            camera=self.camera.expand(len(proxy), 3),
        )  # fmt: skip


@pytest.fixture(scope="module")
def bodies() -> dict:
    return {gender: load_body("open", gender) for gender in ("neutral", "male", "female")}


@pytest.fixture(scope="module")
def truth() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(5, 72, generator=generator)
    pose[:, :3] = torch.tensor([3.0, 0.2, -0.3])  # upright in the camera frame: about pi about x
    return pose, torch.randn(5, 10, generator=generator)


@pytest.fixture(scope="module")
def items(bodies: dict, truth: tuple) -> list[EvalItem]:
    """Rows whose keypoints and silhouettes are projections of the true neutral body."""
    pose, betas = truth
    rotmats = rotvec_to_rotmat(pose.unflatten(-1, (24, 3)))
    body = bodies["neutral"]
    # From the camera-frame pose, turned upright about the pelvis, which global rotations leave be.
    vertices, joints = body(betas, rotmats[:, 1:], rotmats[:, 0])
    pelvis, keypoints = joints[:, :1], body.coco_joints(vertices, joints)
    seen = [half_turn_x(points - pelvis) + pelvis for points in (vertices, keypoints)]
    pixels = project_to_crop(seen[1], CAMERA.expand(5, 3)).numpy().astype(np.float64)
    masks = silhouettes(body.faces, seen[0][:, None], CAMERA.expand(5, 1, 3))[:, 0].numpy()
    every = np.ones(17, bool)
    return [
        EvalItem(
            item_id=f"row {i}", image=np.zeros((256, 256, 3), np.uint8), joints2d=pixels[i],
            drawn=every, confident=every, pose=pose[i].numpy(), betas=betas[i].numpy(),
            gender="neutral", silhouette=masks[i],
        )
        for i in range(5)
    ]  # fmt: skip


def test_the_truth_itself_has_no_error(bodies: dict, truth: tuple, items: list) -> None:
    columns = Evaluator(CONFIG, Oracle(*truth), bodies).rows(items)
    for name in METRIC_NAMES:
        value = columns[name]
        expected = 1.0 if "IOU" in name else 0.0
        tolerance = 0.01 if "IOU" in name else (0.5 if "joints2D" in name else 2e-3)
        np.testing.assert_allclose(value, expected, atol=tolerance, err_msg=name)
    assert columns["pose_error_deg"].max() < 0.1
    assert columns["MPJPE"].max() < 1e-5  # the mode is exact, samples are merely concentrated


def test_gendered_targets_use_the_body_of_their_gender(
    bodies: dict, truth: tuple, items: list
) -> None:
    genders = ["male", "neutral", "female", "male", "neutral"]
    mixed = [replace(item, gender=gender) for item, gender in zip(items, genders, strict=True)]
    errors = Evaluator(CONFIG, Oracle(*truth), bodies).rows(mixed)["PVE"]
    assert (errors[[1, 4]] < 1e-5).all() and (errors[[0, 2, 3]] > 1e-3).all()


def test_a_shift_of_the_pelvis_counts_only_where_the_root_is_the_origin(
    bodies: dict, truth: tuple, items: list
) -> None:
    # Another pelvis rotation moves every joint about SMPL's origin; PA removes it in both.
    pose, betas = truth
    turned = pose.clone()
    turned[:, :3] = torch.tensor([2.6, 0.2, -0.3])
    oracle = Oracle(turned, betas)
    paper = Evaluator(CONFIG, oracle, bodies).rows(items)
    spin = Evaluator(replace(CONFIG, protocol="spin"), oracle, bodies).rows(items)
    assert (paper["MPJPE"] != spin["MPJPE"]).all()
    np.testing.assert_allclose(paper["MPJPE-PA"], spin["MPJPE-PA"], atol=1e-5)
    np.testing.assert_array_equal(paper["PVE-T"], spin["PVE-T"])


def test_the_mode_is_the_first_hypothesis(bodies: dict, truth: tuple, items: list) -> None:
    columns = Evaluator(CONFIG, Oracle(*truth, concentration=20.0), bodies).rows(items)
    for name in ("PVE", "MPJPE-PA", "PVE-T-SC"):
        np.testing.assert_array_equal(columns[f"{name}_best_of_1"], columns[name])
        assert (columns[f"{name}_samples_min"] <= columns[f"{name}_best_of_2"]).all()
    # 2D distances are taken over the draws without the mode: here the mode is exact, draws are not.
    assert (columns["joints2D-L2E"] < 0.01).all() and (columns["joints2Dsamples-L2E"] > 1).all()


def test_draws_belong_to_the_row(bodies: dict, truth: tuple, items: list) -> None:
    oracle = Oracle(*truth, concentration=20.0)
    evaluator = Evaluator(CONFIG, oracle, bodies)
    together = evaluator.rows(items)
    oracle.start = 3
    alone = evaluator.rows(items[3:4])
    for name in ("PVE_samples_min", "joints2Dsamples-L2E", "pose_rank"):
        np.testing.assert_allclose(alone[name], together[name][3:4], rtol=1e-4, atol=1e-6)
    other = Evaluator(replace(CONFIG, seed=1), oracle, bodies).rows(items[3:4])
    assert other["joints2Dsamples-L2E"] != alone["joints2Dsamples-L2E"]


def test_refined_bodies_take_the_place_of_the_modes(
    bodies: dict, truth: tuple, items: list
) -> None:
    pose, betas = truth
    turned = pose.clone()
    turned[:, 3:] += 0.15 * torch.randn(5, 69, generator=torch.Generator().manual_seed(1))
    camera = CAMERA + torch.tensor([0.0, 0.1, 0.0])  # 10 px too far to the right
    plain, refined = (
        Evaluator(replace(CONFIG, refine=refine), Oracle(turned, betas, 20.0, camera), bodies).rows(
            items
        )
        for refine in (False, True)
    )
    for name in ("MPJPE", "PVE", "joints2D-L2E"):
        assert refined[name].mean() < 0.75 * plain[name].mean(), name
    assert refined["joints2D-L2E"].max() < 4 < 10 < plain["joints2D-L2E"].min()
    assert refined["silhouette-IOU"].mean() > plain["silhouette-IOU"].mean()
    for name in ("joints2Dsamples-L2E", "pose_nll", "pose_rank", "pose_mode", "camera"):
        np.testing.assert_array_equal(refined[name], plain[name], err_msg=name)


def test_keypoints_without_confidence_do_not_move_bodies(
    bodies: dict, truth: tuple, items: list
) -> None:
    wild = items[0].joints2d.copy()
    wild[9] += 200.0
    unsure = items[0].confident.copy()
    unsure[9] = False
    config = replace(CONFIG, refine=True)
    errors = [
        Evaluator(config, Oracle(*truth, 20.0), bodies).rows([item])["MPJPE"]
        for item in (items[0], replace(items[0], joints2d=wild, confident=unsure))
    ]
    np.testing.assert_allclose(errors[1], errors[0], atol=1e-4)


def test_consistency_counts_confident_keypoints_only(
    bodies: dict, truth: tuple, items: list
) -> None:
    off = items[0].joints2d.copy()
    off[9] += 100.0
    confident = np.ones(17, bool)
    confident[9] = False
    spoilt = replace(items[0], joints2d=off, confident=confident)
    unseen = replace(items[0], confident=np.zeros(17, bool))
    columns = Evaluator(CONFIG, Oracle(*truth), bodies).rows([spoilt])
    assert columns["sample_consistency_px"][0] < 0.5 < columns["joints2Dsamples-L2E"][0]
    assert np.isnan(
        Evaluator(CONFIG, Oracle(*truth), bodies).rows([unseen])["sample_consistency_px"]
    )


class Rows:
    """A dataset of given items, some of which cannot be loaded."""

    def __init__(self, items: Sequence[EvalItem | Exception]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def name(self, index: int) -> str:
        return f"{index}.png"

    def load(self, index: int) -> EvalItem:
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item


def shard_tables(rows_of, dataset: Rows) -> tuple:  # noqa: ANN001
    context = EvaluationContext(run_id="r", config=CONFIG)
    (shard,) = new_rows(CONFIG, dataset, ())
    return evaluate_shard(rows_of, dataset, shard, context)


def test_a_poisoned_row_takes_no_other_with_it(bodies: dict, truth: tuple, items: list) -> None:
    evaluator = Evaluator(CONFIG, Oracle(*truth), bodies)

    def rows_of(some: Sequence[EvalItem]) -> dict[str, np.ndarray]:
        if any(item.item_id == "row 1" for item in some):
            raise RuntimeError("cannot be evaluated")
        columns = evaluator.rows(some)
        columns["PVE"] = np.where([i.item_id == "row 3" for i in some], np.nan, columns["PVE"])
        return columns

    dataset = Rows([*items[:2], FileNotFoundError("no picture"), *items[3:]])
    frames, errors = shard_tables(rows_of, dataset)
    assert frames["status"].to_pylist() == ["ok", "failed", "failed", "failed", "ok"]
    assert frames["frame_index"].to_pylist() == [0, 1, 2, 3, 4]
    assert frames["PVE"].to_pylist()[1:4] == [None] * 3
    said = {row["frame_index"]: (row["stage"], row["message"]) for row in errors.to_pylist()}
    assert said == {
        1: ("evaluate", "cannot be evaluated"),
        2: ("labels", "no picture"),
        3: ("evaluate", "PVE holds NaN or infinity"),
    }


def test_shards_are_blocks_of_the_dataset() -> None:
    config = replace(CONFIG, batch_size=2, shard_size=4)
    dataset = Rows([ValueError()] * 12)
    done = {row_item(config, dataset, row).item_id for row in (2, 3, 4, 6, 7, 8)}
    shards = new_rows(config, dataset, done)
    assert [(s.name, [item.frame_index for item in s.items]) for s in shards] == [
        ("00000", [0, 1]), ("00001", [5]), ("00002", [9, 10, 11]),
    ]  # fmt: skip
