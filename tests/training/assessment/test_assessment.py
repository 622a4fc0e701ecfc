"""Figures of networks whose errors and calibration are known beforehand."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.keypoint_noise import KeypointNoiseConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import BODY_JOINT_NAMES
from hierprob3d.model.network.checkpoints import default_weights_path, load_distribution_net
from hierprob3d.model.network.distribution_net import NetOutput
from hierprob3d.model.network.network_config import WeightsMetadata
from hierprob3d.model.picture.cameras import (
    half_turn_x,
    normalised_to_pixels,
    project_weak_perspective,
)
from hierprob3d.model.picture.proxy import PROXY_SIZE
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.rotations import rot6d_to_rotmat, rotmat_to_rotvec, rotvec_to_rotmat
from hierprob3d.training.assessment.assessment import (
    CONDITIONS,
    JOINT_GROUPS,
    assess,
    figures,
    weights_mean_pose,
)
from hierprob3d.training.assessment.assessment_report import assessment_markdown
from hierprob3d.training.assessment.headline import headline, inside_shares
from hierprob3d.training.assessment.person_metrics import PersonMetrics
from hierprob3d.training.assessment.validation import MEAN_POSE, mean_rotmats
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.transforms.datasets.eval_item import EvalItem
from hierprob3d.transforms.evaluation.evaluator import Evaluator
from tests.oracles.alignments import similarity_align

CAMERA = torch.tensor([0.9, 0.0, 0.0])
IDENTITIES = torch.eye(3).expand(23, 3, 3)


class ToldNet(nn.Module):
    """Says of people what it was told, in their order and over again, whatever it sees."""

    def __init__(self, output: NetOutput, input_stride: int = 2, family: str = "openbody") -> None:
        super().__init__()
        self.config = SimpleNamespace(input_stride=input_stride)
        self.body_family = family
        self.features = nn.Identity()
        self.output, self.next = output, 0
        self.sides: set[int] = set()

    def decode(self, proxy: Tensor) -> NetOutput:
        self.sides.add(proxy.shape[-1])
        said = slice(self.next, self.next + len(proxy))
        self.next = said.stop % len(self.output.camera)
        return _some(self.output, said)


def _some(output: NetOutput, said: slice) -> NetOutput:
    present = {name: value for name, value in vars(output).items() if value is not None}
    return NetOutput(**{name: value[said] for name, value in present.items()})


def _rotmats(num: int, scale: float, seed: int) -> Tensor:
    """(num, 24, 3, 3)."""
    generator = torch.Generator().manual_seed(seed)
    return rotvec_to_rotmat(scale * torch.randn(num, 24, 3, generator=generator))


def _people(body: Body, rotmats: Tensor, betas: Tensor) -> RenderedSet:
    """People as CAMERA sees them, all in view, before nothing."""
    vertices, joints = body(betas, rotmats[:, 1:], rotmats[:, 0])
    keypoints = half_turn_x(body.coco_joints(vertices, joints))
    none = torch.zeros(len(betas), 17, dtype=torch.bool)
    return RenderedSet(
        edges=torch.zeros(len(betas), 128, 128, dtype=torch.uint8),
        joints2d=normalised_to_pixels(project_weak_perspective(keypoints, CAMERA), PROXY_SIZE),
        outside=none,
        hidden=none.clone(),
        rotvecs=rotmat_to_rotvec(rotmats),
        betas=betas,
    )


def _output(
    pose_F: Tensor, global_rotmat: Tensor, mean: Tensor, std: Tensor, global_F: Tensor | None = None
) -> NetOutput:
    fisher = MatrixFisher(pose_F)
    U, S, V = fisher.svd
    rot6d = global_rotmat[:, :, :2].flatten(1)
    return NetOutput(
        pose_F=pose_F, pose_U=U, pose_S=S, pose_V=V, pose_mode=fisher.mode,
        shape_mean=mean, shape_std=std, global_rot6d=rot6d,
        global_rotmat=rot6d_to_rotmat(rot6d), camera=CAMERA.repeat(len(mean), 1),
        global_F=global_F,
    )  # fmt: skip


@pytest.fixture(scope="module")
def perfect(body: Body) -> tuple[NetOutput, RenderedSet]:
    """All about six people, of whom the last four are not in full view, and these people."""
    rotmats = _rotmats(6, 0.3, seed=0)
    betas = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))
    people = _people(body, rotmats, betas)
    people.outside[2:4, 9] = True
    people.hidden[4:, :3] = True
    output = _output(1e6 * rotmats[:, 1:], rotmats[:, 0], betas, torch.full((6, 10), 1e-3))
    return output, people


def test_a_perfect_network_has_no_error(perfect: tuple[NetOutput, RenderedSet], body: Body) -> None:
    output, people = perfect
    records = assess(ToldNet(output), body, people, IDENTITIES, KeypointNoiseConfig(), seed=0)
    assert list(records) == [condition.name for condition in CONDITIONS]
    assert [record["people"] for record in records.values()] == [6, 2, 6, 2]
    for record in records.values():
        metrics = record["metrics"]
        for name in ("MPJPE", "MPJPE-PA", "PVE", "PVE-SC", "PVE-T-SC"):
            assert metrics[name] < 0.01
        assert metrics["joints2D-L2E"] < 0.01 and metrics["joints2Dsamples-L2E"] < 0.1
        assert metrics["naive-MPJPE-PA"] > 50 and metrics["naive-PVE-T-SC"] > 5
        assert metrics["pose-NLL"] < -10
        assert record["best_of"]["MPJPE-PA"]["100"] <= record["best_of"]["MPJPE-PA"]["1"] < 0.01
    places = records["true keypoints, all"]["keypoints"]
    assert places["outside"]["share"] == pytest.approx(2 / 102, abs=1e-4)
    assert places["hidden"]["share"] == pytest.approx(6 / 102, abs=1e-4)
    assert places["visible"]["sample_spread_mm"] < 2


def test_the_tables_have_a_column_for_each_condition(
    perfect: tuple[NetOutput, RenderedSet], body: Body
) -> None:
    output, people = perfect
    net = ToldNet(_some(output, slice(2, 4)))
    records = assess(net, body, people[2:4], IDENTITIES, KeypointNoiseConfig(), 0, 1.0)
    assert records["true keypoints, in full view"] == {"people": 0}
    rows = [line for line in assessment_markdown(records).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(CONDITIONS) + 2}
    assert any(row.startswith("| MPJPE-PA, mm | ") and row.endswith(" – |") for row in rows)
    assert not any("global" in row for row in rows)
    assert any(row.startswith("| MPJPE-PA, refined, mm | 0.0 |") for row in rows)


def test_a_true_distribution_is_calibrated(body: Body) -> None:
    """The truth is a draw of what is said, so every region holds its share of truths."""
    num = 200
    generator = torch.Generator().manual_seed(2)
    modes = _rotmats(num, 0.5, seed=3)
    concentration = torch.rand(num, 24, 1, 1, generator=generator) * 40
    F = modes * concentration
    mean = torch.randn(num, 10, generator=generator)
    std = 0.2 + torch.rand(num, 10, generator=generator)
    betas = mean + std * torch.randn(num, 10, generator=generator)
    people = _people(body, MatrixFisher(F).sample((), generator), betas)
    metrics = PersonMetrics(body, IDENTITIES, num_bodies=1)
    net = ToldNet(_output(F[:, 1:], modes[:, 0], mean, std, global_F=F[:, 0]))
    columns = metrics.of_people(net, people, 2, None, seed=0)
    means = headline(columns)
    nominal = torch.tensor([0.5, 0.8, 0.95])
    for region, tolerance in (("50%", 0.025), ("80%", 0.02), ("95%", 0.01)):
        share = float(region[:-1]) / 100
        assert means[f"inside-{region}"] == pytest.approx(share, abs=tolerance)  # 4,600 rotations
        assert means[f"global-inside-{region}"] == pytest.approx(share, abs=0.08)
    each = inside_shares(columns["shape_mass"]).mean(0)
    torch.testing.assert_close(each, nominal, atol=0.03, rtol=0)
    together = inside_shares(columns["all_shape_mass"])
    torch.testing.assert_close(together, nominal, atol=0.08, rtol=0)
    expected = -MatrixFisher(F[:, 1:]).log_prob(rotvec_to_rotmat(people.rotvecs[:, 1:])).mean()
    assert means["pose-NLL"] == pytest.approx(float(expected), abs=1e-3)

    sure = ToldNet(_output(4 * F[:, 1:], modes[:, 0], mean, std / 2, global_F=4 * F[:, 0]))
    columns = metrics.of_people(sure, people, 2, None, seed=0)
    assert headline(columns)["inside-80%"] < 0.6
    assert headline(columns)["global-inside-80%"] < 0.6
    assert inside_shares(columns["shape_mass"]).mean(0)[1] < 0.6


def test_the_figures_are_those_of_evaluate(body: Body) -> None:
    """The same network, people and draws through the code of `hierprob3d evaluate`."""
    names = ("MPJPE", "MPJPE-PA", "PVE", "PVE-T-SC", "joints2D-L2E", "joints2Dsamples-L2E")
    config = EvaluateConfig(
        dataset="synthetic", data="", output="", metrics=names, num_samples=20, best_of=(10,)
    )
    net = load_distribution_net(default_weights_path())
    evaluator = Evaluator(config, net, {"neutral": body})
    rotmats = _rotmats(2, 0.3, seed=8)
    people = _people(body, rotmats, torch.zeros(2, 10))
    turned = rotmats.clone()
    turned[:, 0] = half_turn_x(rotmats[:, 0].mT).mT
    everything = np.ones(17, bool)
    items = [
        EvalItem(
            item_id=str(index), image=np.zeros((256, 256, 3), np.uint8), betas=np.zeros(10),
            joints2d=people.joints2d[index].numpy(), drawn=everything, confident=everything,
            pose=rotmat_to_rotvec(turned[index]).flatten().numpy(), gender="neutral",
        )
        for index in range(2)
    ]  # fmt: skip
    rows = evaluator.rows(items)
    metrics = PersonMetrics(body, IDENTITIES, num_bodies=20)
    columns = metrics.of_people(net, people, net.config.input_stride, None, 0)
    for name in names[:4]:
        torch.testing.assert_close(
            columns[name], 1000 * torch.tensor(rows[name]), rtol=1e-3, atol=0
        )
    best = columns["hypotheses-MPJPE-PA"][:, :10].amin(1)
    torch.testing.assert_close(
        best, 1000 * torch.tensor(rows["MPJPE-PA_best_of_10"]), rtol=1e-3, atol=0
    )
    for name, column in (("joints2D-L2E", "mode_px"), ("joints2Dsamples-L2E", "sample_px")):
        expected = torch.tensor(rows[name])
        torch.testing.assert_close(columns[column].mean(1), expected, rtol=1e-3, atol=0)


def test_the_naive_predictor_by_hand(perfect: tuple[NetOutput, RenderedSet], body: Body) -> None:
    output, people = perfect
    naive_pose = mean_rotmats(people.rotvecs)
    columns = PersonMetrics(body, naive_pose, 1).of_people(ToldNet(output), people, 2, None, 0)
    for person in range(len(people)):
        rotmats = rotvec_to_rotmat(people.rotvecs[person])[None]
        vertices, _ = body(people.betas[person, None], rotmats[:, 1:], rotmats[:, 0])
        said, _ = body(torch.zeros(1, 10), naive_pose[None], torch.eye(3)[None])
        true = body.h36m_joints14(vertices)
        aligned = similarity_align(body.h36m_joints14(said), true)
        expected = 1000 * (aligned - true).norm(dim=-1).mean()
        torch.testing.assert_close(columns["naive-MPJPE-PA"][person], expected, atol=0.01, rtol=0)


def test_a_prediction_that_is_not_finite_shows(
    perfect: tuple[NetOutput, RenderedSet], body: Body
) -> None:
    output, people = perfect
    output = dataclasses.replace(output, shape_mean=output.shape_mean.clone())
    output.shape_mean[1] = torch.nan
    columns = PersonMetrics(body, IDENTITIES, 1).of_people(ToldNet(output), people, 2, None, 0)
    means = headline(columns)
    assert means["MPJPE-PA"] != means["MPJPE-PA"] and means["naive-MPJPE-PA"] > 0


@pytest.mark.parametrize("stride", [2, 4])
def test_coarser_inputs_than_the_pictures(
    perfect: tuple[NetOutput, RenderedSet], body: Body, stride: int
) -> None:
    output, people = perfect
    net = ToldNet(output, stride)
    PersonMetrics(body, IDENTITIES, 1).of_people(net, people, stride, None, 0)
    assert net.sides == {PROXY_SIZE // stride}


def test_finer_inputs_than_the_pictures_are_refused(
    perfect: tuple[NetOutput, RenderedSet], body: Body
) -> None:
    output, people = perfect
    with pytest.raises(ValueError, match="data.stored_stride=1"):
        assess(ToldNet(output, 1), body, people, IDENTITIES, KeypointNoiseConfig(), 0)


def test_weights_of_another_body_are_refused(
    perfect: tuple[NetOutput, RenderedSet], body: Body
) -> None:
    output, people = perfect
    net = ToldNet(output, family="smpl")
    with pytest.raises(ValueError, match="data.body_model"):
        assess(net, body, people, IDENTITIES, KeypointNoiseConfig(), 0)


def test_figures_of_a_person_do_not_depend_on_the_others(
    perfect: tuple[NetOutput, RenderedSet], body: Body
) -> None:
    output, people = perfect
    metrics = PersonMetrics(body, IDENTITIES, 3)
    everybody = metrics.of_people(ToldNet(output), people, 2, None, seed=5)
    first = metrics.of_people(ToldNet(_some(output, slice(2))), people[:2], 2, None, 5)
    for name, values in first.items():
        torch.testing.assert_close(values, everybody[name][:2], atol=2e-4, rtol=1e-4)


def test_the_groups_are_all_body_joints() -> None:
    names = [name for group in JOINT_GROUPS.values() for name in group]
    assert sorted(names) == sorted(BODY_JOINT_NAMES)


def test_no_people_give_no_figures() -> None:
    assert figures({"MPJPE": torch.empty(0)}) == {"people": 0}


def test_the_mean_pose_that_weights_carry() -> None:
    pose = _rotmats(1, 0.5, seed=7)[0, 1:]
    carried = rotmat_to_rotvec(pose).flatten().tolist()
    weights = {"body_family": "openbody", "sign_rule": "invariant"}
    metadata = WeightsMetadata(**weights, provenance={MEAN_POSE: carried})
    torch.testing.assert_close(weights_mean_pose(metadata), pose, atol=1e-5, rtol=0)
    assert weights_mean_pose(WeightsMetadata(**weights)) is None


def test_refined_bodies_follow_the_keypoints_given(
    perfect: tuple[NetOutput, RenderedSet], body: Body
) -> None:
    # Modes are turned away from the truth; the true keypoints bring bodies back towards it.
    output, people = perfect
    away = output.pose_mode @ rotvec_to_rotmat(
        0.2 * torch.randn(6, 23, 3, generator=torch.Generator().manual_seed(2))
    )
    unsure = _output(10 * away, output.global_rotmat, output.shape_mean, output.shape_std * 300)
    unsure.camera[:, 1] += 0.1  # 11 px too far to the right
    columns = PersonMetrics(body, IDENTITIES, 1, 1.0).of_people(ToldNet(unsure), people, 2, None, 0)
    means = headline(columns)
    assert means["refined-MPJPE"] < 0.8 * means["MPJPE"]
    assert means["refined-joints2D-L2E"] < 0.3 * means["joints2D-L2E"]
    assert means["refined-joints2D-L2E"] < 4 < 11 < means["joints2D-L2E"]
    spoilt = dataclasses.replace(people, joints2d=people.joints2d.clone())
    spoilt.outside[2:4, 9] = True
    spoilt.joints2d[2:4, 9] += 300  # outside, hence not given
    columns = PersonMetrics(body, IDENTITIES, 1, 1.0).of_people(ToldNet(unsure), spoilt, 2, None, 0)
    assert headline(columns)["refined-MPJPE"] == pytest.approx(means["refined-MPJPE"], rel=1e-3)
    sure = PersonMetrics(body, IDENTITIES, 1, 1.0).of_people(ToldNet(output), people, 2, None, 0)
    assert headline(sure)["refined-MPJPE"] < 0.1
