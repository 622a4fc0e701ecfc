from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from hierprob3d.configs.metric_table import POINT_METRICS
from hierprob3d.model.estimate import metrics
from hierprob3d.model.estimate.metrics import BodyPoints, body_errors
from tests.oracles.alignments import scale_align, similarity_align


@pytest.fixture(scope="module")
def golden_metrics(golden: Path) -> dict:
    return json.loads((golden / "g_metrics.json").read_text())


@pytest.fixture(scope="module")
def frames(make_inputs: ModuleType) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Predictions, targets and visibility of the three golden frames as one batch."""
    drawn = [make_inputs.metric_inputs(seed) for seed in (100, 101, 102)]
    sampled = ("verts_samples", "joints3D_samples", "reposed_verts_samples")
    prediction = {
        key: torch.from_numpy(
            np.concatenate(
                [frame[0][key][None] if key in sampled else frame[0][key] for frame in drawn]
            )
        )
        for key in drawn[0][0]
    }
    target = {
        key: torch.from_numpy(np.concatenate([frame[1][key] for frame in drawn]))
        for key in drawn[0][1]
    }
    return prediction, target, torch.from_numpy(np.concatenate([frame[2] for frame in drawn]))


@pytest.fixture(scope="module")
def errors(frames: tuple) -> dict[str, Tensor]:
    """Column 0 = the mode, 1.. = the four samples. In float64: no bound feels the order of sums."""
    prediction, target = ({k: v.double() for k, v in points.items()} for points in frames[:2])
    hypotheses = BodyPoints(
        vertices=torch.cat([prediction["verts"][:, None], prediction["verts_samples"]], 1),
        reposed=torch.cat(
            [prediction["reposed_verts"][:, None], prediction["reposed_verts_samples"]], 1
        ),
        joints=torch.cat([prediction["joints3D"][:, None], prediction["joints3D_samples"]], 1),
    )
    truth = BodyPoints(target["verts"], target["reposed_verts"], target["joints3D"])
    return body_errors(hypotheses, truth, POINT_METRICS)


@pytest.mark.parametrize("name", POINT_METRICS)
def test_point_metrics_equal_the_original(name: str, errors: dict, golden_metrics: dict) -> None:
    run = golden_metrics["extra" if name == "PVE-T" else "3dpw"]
    for column, golden_name in (
        (errors[name][:, 0], name),
        (metrics.best_of(errors[name][:, 1:], 4), f"{name}_samples_min"),
    ):
        np.testing.assert_allclose(column.numpy(), run["per_frame"][golden_name], rtol=1e-6)
        np.testing.assert_allclose(
            column.double().mean().item(), run["final"][golden_name], rtol=1e-6
        )


def test_joints2d_equal_the_original(frames: tuple, golden_metrics: dict) -> None:
    prediction, target, visible = frames
    mode = metrics.joints2d_errors(prediction["joints2D"][:, None], target["joints2D"])[:, 0].mean(
        -1
    )
    np.testing.assert_allclose(
        mode.numpy(), golden_metrics["ssp3d"]["per_frame"]["joints2D-L2E"], rtol=1e-6
    )
    samples = metrics.joints2d_errors(prediction["joints2Dsamples"], target["joints2D"])
    key = "joints2Dsamples-L2E"
    np.testing.assert_allclose(
        samples.mean().item(), golden_metrics["ssp3d"]["final"][key], rtol=1e-6
    )
    seen = samples[visible[:, None].expand_as(samples)]
    assert len(seen) == golden_metrics["ssp3d_with_vis"]["metric_sums"]["num_vis_joints2Dsamples"]
    np.testing.assert_allclose(
        seen.mean().item(), golden_metrics["ssp3d_with_vis"]["final"][key], rtol=1e-6
    )


def test_silhouettes_equal_the_original(frames: tuple, golden_metrics: dict) -> None:
    prediction, target, _ = frames
    true = target["silhouettes"].bool()
    mode = metrics.silhouette_counts(prediction["silhouettes"][:, None].bool(), true)
    samples = metrics.silhouette_counts(prediction["silhouettessamples"].bool(), true)
    sums, final = golden_metrics["ssp3d"]["metric_sums"], golden_metrics["ssp3d"]["final"]
    kinds = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    assert mode.sum((0, 1)).tolist() == [sums[f"num_{kind}"] for kind in kinds]
    assert samples.sum((0, 1)).tolist() == [sums[f"num_samples_{kind}"] for kind in kinds]
    assert metrics.iou_of_counts(mode.sum((0, 1))).item() == pytest.approx(final["silhouette-IOU"])
    assert metrics.iou_of_counts(samples.sum((0, 1))).item() == pytest.approx(
        final["silhouettesamples-IOU"]
    )
    np.testing.assert_allclose(
        metrics.iou_of_counts(mode)[:, 0].numpy(),
        golden_metrics["ssp3d"]["per_frame"]["silhouette-IOU"],
    )


@pytest.mark.parametrize(
    "dtype, tolerance, suffix", [(torch.float64, 1e-9, ""), (torch.float32, 1e-5, "_f32")]
)
def test_alignments_equal_the_original(
    golden: Path, dtype: torch.dtype, tolerance: float, suffix: str
) -> None:
    with np.load(golden / "g_procrustes.npz") as stored:
        source, target = (torch.from_numpy(stored[key]).to(dtype) for key in "AB")
        procrustes, scaled = stored[f"procrustes{suffix}"], stored["scale_trans"]
    np.testing.assert_allclose(similarity_align(source, target), procrustes, atol=tolerance)
    np.testing.assert_allclose(scale_align(source, target), scaled, atol=tolerance)


def test_similarity_undoes_a_similarity() -> None:
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(5, 20, 3, dtype=torch.float64, generator=generator)
    turn = torch.linalg.qr(torch.randn(5, 3, 3, dtype=torch.float64, generator=generator)).Q
    turn = turn * torch.linalg.det(turn)[:, None, None]  # proper: a determinant of -1 flips all
    source = 0.3 * target @ turn.mT + 7.0
    torch.testing.assert_close(similarity_align(source, target), target)


def test_similarity_never_mirrors() -> None:
    points = torch.randn(1, 20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert metrics.point_errors(mirrored, points, ["similarity"]).mean() > 0.1


def test_three_points_are_aligned_like_any_other_number() -> None:
    # The paper's code takes a (3, 3) set for its own transpose (`procrustes_3pts_quirk`).
    target = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0]]], dtype=torch.float64)
    source = 2 * target[..., [1, 2, 0]] + 1  # cyclic permutation of the axes: a rotation
    torch.testing.assert_close(similarity_align(source, target), target)


def test_distances_equal_those_of_the_aligned_points() -> None:
    source, target = torch.randn(2, 3, 4, 9, 3, generator=torch.Generator().manual_seed(5)).unbind(
        0
    )
    found = metrics.point_errors(source, target, metrics.ALIGNMENTS)
    aligned = [
        source,
        scale_align(source, target),
        similarity_align(source, target),
    ]
    expected = torch.stack([(points - target).norm(dim=-1) for points in aligned], -2)
    torch.testing.assert_close(found, expected)


def test_a_nan_stays_with_its_person() -> None:
    source = torch.randn(3, 1, 6, 3, generator=torch.Generator().manual_seed(6))
    source[1, 0, 2, 0] = torch.nan
    errors = metrics.point_errors(source, source.nan_to_num() * 2, metrics.ALIGNMENTS).mean(-1)
    assert errors[[0, 2]].isfinite().all()
    assert errors[1].isnan().all()


def test_best_of_takes_the_first_hypotheses() -> None:
    errors = torch.tensor([[3.0, 2.0, 4.0, 1.0]])
    assert [metrics.best_of(errors, n).item() for n in (1, 2, 3, 4)] == [3.0, 2.0, 2.0, 1.0]
    with pytest.raises(ValueError, match="best of 5 asked of 4"):
        metrics.best_of(errors, 5)


def test_silhouettes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) against \(5, 5\)"):
        metrics.silhouette_counts(torch.zeros(1, 1, 4, 4).bool(), torch.zeros(1, 5, 5).bool())


def test_two_empty_silhouettes_agree() -> None:
    assert metrics.iou_of_counts(torch.tensor([0, 0, 16, 0])).item() == 1.0
