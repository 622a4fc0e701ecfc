from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hierprob3d.configs.metric_table import POINT_METRICS, PointMetric
from hierprob3d.model.network.checkpoints import save_distribution_net
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import NetworkConfig, WeightsMetadata
from hierprob3d.pipelines.command.cli import main
from hierprob3d.pipelines.evaluation.comparison import compare, paired_interval
from hierprob3d.pipelines.run import execution
from hierprob3d.training.assessment.evaluation_set import make_evaluation_set

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_ROWS = 10


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network for OpenBody."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    net = DistributionNet(NetworkConfig())
    save_distribution_net(net, path, WeightsMetadata(body_family="openbody", sign_rule="paper"))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evaluation_set(tmp_path_factory.mktemp("synthetic"), NUM_ROWS)


@pytest.fixture
def own_data(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "own"))


def command(data: Path, weights: Path, output: Path, *more: str) -> list[str]:
    return [
        "evaluate", "--dataset", "synthetic", "--data", str(data), "--weights", str(weights),
        "--output", str(output), "--num-samples", "3", "--batch-size", "2", "--shard-size", "4",
        "--device", "cpu", *more,
    ]  # fmt: skip


def numbers(output: Path) -> dict:
    """All of metrics.json but the record of the run."""
    record = json.loads((output / "metrics.json").read_text())
    record.pop("run")
    return record


def rows(folder: Path) -> list[dict]:
    return [
        row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()
    ]


@pytest.fixture(scope="module")
def output(data: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluation") / "out"
    assert main(command(data, weights, output, "--best-of", "1,3,5")) == 0
    return output


def test_totals_are_the_means_of_the_rows(output: Path) -> None:
    found, frames = numbers(output), rows(output / "frames")
    assert found["rows"] == NUM_ROWS == len(frames)
    assert sorted(row["frame_index"] for row in frames) == list(range(NUM_ROWS))
    for name, value in found["metrics"].items():
        if "IOU" not in name:
            assert value == pytest.approx(np.mean([row[name] for row in frames]), rel=1e-6)
    pixels = np.sum([row["silhouette_pixels"] for row in frames], 0)
    assert found["metrics"]["silhouette-IOU"] == pixels[0] / (pixels[0] + pixels[1] + pixels[3])
    assert found["printed"]["MPJPE"] == f"{found['metrics']['MPJPE'] * 1000:.2f} mm"


def test_protocol_and_run_are_recorded_beside_the_numbers(output: Path, weights: Path) -> None:
    record = json.loads((output / "metrics.json").read_text())
    assert record["protocol"]["name"] == "paper" and record["protocol"]["mode_among_samples"]
    run = record["run"]
    assert run["status"] == "finished" and run["counts"]["ok"] == NUM_ROWS
    assert run["config"]["num_samples"] == 3
    assert len(run["model_files"]["weights"]["sha256"]) == 64
    assert run["model_files"]["weights"]["path"] == str(weights)


def test_the_distribution_is_described(output: Path) -> None:
    found = numbers(output)
    assert len(found["likelihood"]["pose_nll_per_joint"]) == 23
    curve = found["calibration"]["pose"]
    assert curve["observed"][0] == 0 and curve["observed"][-1] == 1 == curve["expected"][-1]
    assert set(found["sample_spread_mm"]) == {"visible", "invisible"}
    assert len(found["per_joint_mm"]["MPJPE"]) == 14
    best = [found["metrics"][f"MPJPE_best_of_{n}"] for n in (1, 3, 5)]
    assert best[0] == found["metrics"]["MPJPE"] and best[1] == found["metrics"]["MPJPE_samples_min"]
    assert best[0] >= best[1] >= best[2]


def test_tables_and_picture_are_there(output: Path) -> None:
    text = (output / "evaluation.md").read_text()
    assert "| MPJPE |" in text and "root origin" in text and "the mode among them" in text
    page = (output / "evaluation.html").read_text()
    assert "data:image/png;base64," in page and "<script" not in page
    picture = cv2.imread(str(output / "calibration.png"))
    assert picture is not None and picture.std() > 5


def test_any_sharding_gives_the_same_bits(
    data: Path, weights: Path, output: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    more = ["--best-of", "1,3,5", "--shard-size", "6", "--direct_running_mode", "multi_threading",
            "--direct_num_workers", "2"]  # fmt: skip
    assert main(command(data, weights, other, *more)) == 0
    assert numbers(other) == numbers(output)
    assert len(list((other / "frames").iterdir())) == 2 < len(list((output / "frames").iterdir()))


KILLED = """
import os, sys
from hierprob3d.pipelines.command import cli
from hierprob3d.transforms.evaluation import evaluation_shards
evaluate, count = evaluation_shards.evaluate_shard, []
def killed(*args):
    count.append(1)
    if len(count) == 2:
        os._exit(9)
    return evaluate(*args)
evaluation_shards.evaluate_shard = killed
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_killed_run_goes_on_to_the_same_bits(
    data: Path, weights: Path, output: Path, tmp_path: Path
) -> None:
    resumed = tmp_path / "resumed"
    words = command(data, weights, resumed, "--best-of", "1,3,5")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *words], cwd=REPOSITORY, capture_output=True
    )
    assert killed.returncode == 9
    finished = sorted((resumed / "frames").iterdir())
    assert len(finished) == 1 and not (resumed / "metrics.json").exists()
    before = finished[0].read_bytes()
    assert main(words) == 0
    assert finished[0].read_bytes() == before  # what was finished is not done again
    assert numbers(resumed) == numbers(output)


LOST_ONCE = """
import os
from pathlib import Path
from hierprob3d.transforms.evaluation import evaluation_shards
evaluate, lost = evaluation_shards.evaluate_shard, Path({flag!r})
def killed(*args):
    if args[2].index == 1 and not lost.exists():
        lost.touch()
        os._exit(9)
    return evaluate(*args)
evaluation_shards.evaluate_shard = killed
from hierprob3d.pipelines.run.worker_process import main
main()
"""


def test_a_lost_worker_costs_no_row_of_the_totals(
    data: Path, weights: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"import sys; sys.path[:] = {sys.path!r}\n" + LOST_ONCE.format(
        flag=str(tmp_path / "x")
    )
    monkeypatch.setattr(execution, "python_command", lambda module: [sys.executable, "-c", script])
    more = ("--best-of", "1,3,5", "--direct_running_mode", "multi_processing",
            "--direct_num_workers", "1")  # fmt: skip
    assert main(command(data, weights, tmp_path / "out", *more)) == 0
    assert (tmp_path / "x").exists()
    assert numbers(tmp_path / "out") == numbers(output)


def test_a_second_run_only_reports(data: Path, weights: Path, output: Path) -> None:
    before, parts = numbers(output), sorted((output / "frames").iterdir())
    assert main(command(data, weights, output, "--best-of", "1,3,5")) == 0
    assert sorted((output / "frames").iterdir()) == parts
    assert numbers(output) == before


def test_broken_rows_become_errors_and_can_be_retried(
    own_data: Path, weights: Path, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    image, silhouette = own_data / "images" / "00003.png", own_data / "silhouettes" / "00006.png"
    good = image.read_bytes(), silhouette.read_bytes()
    image.write_bytes(b"no picture")
    cv2.imwrite(str(silhouette), np.zeros((5, 5), np.uint8))
    other = tmp_path / "other"
    words = command(own_data, weights, other, "--best-of", "1,3,5")
    assert main(words) == 0
    assert "2 of 10 rows failed" in capsys.readouterr().err
    errors = {row["frame_index"]: row for row in rows(other / "errors")}
    assert sorted(errors) == [3, 6]
    assert errors[3]["stage"] == "labels" and "silhouette has 5 x 5" in errors[6]["message"]
    assert numbers(other)["rows_by_status"] == {"failed": 2, "ok": 8}
    image.write_bytes(good[0])
    silhouette.write_bytes(good[1])
    assert main([*words, "--retry-failed"]) == 0
    whole, retried = numbers(output), numbers(other)
    assert retried["rows_by_status"] == {"ok": 10}
    for name, value in whole[
        "metrics"
    ].items():  # alone in their batch, rows may differ by rounding
        assert retried["metrics"][name] == pytest.approx(value, rel=1e-4)


def test_nan_in_labels_fails_its_row(own_data: Path, weights: Path, tmp_path: Path) -> None:
    with np.load(own_data / "labels.npz") as stored:
        labels = dict(stored)
    labels["shapes"][1, 4] = np.nan
    np.savez(own_data / "labels.npz", **labels)
    assert main(command(own_data, weights, tmp_path / "out", "--limit", "2")) == 0
    (error,) = rows(tmp_path / "out" / "errors")
    assert error["frame_index"] == 1 and "shape label holds NaN" in error["message"]


def test_too_many_failures_are_an_exit_code(own_data: Path, weights: Path, tmp_path: Path) -> None:
    for image in (own_data / "images").iterdir():
        image.write_bytes(b"no picture")
    assert main(command(own_data, weights, tmp_path / "out", "--limit", "2")) == 1
    assert numbers(tmp_path / "out")["metrics"] == {}


def test_other_settings_are_not_mixed(
    data: Path, weights: Path, output: Path, capsys: pytest.CaptureFixture
) -> None:
    words = command(data, weights, output, "--best-of", "1,3,5", "--protocol", "spin")
    assert main(words) == 2
    assert "with --protocol paper (now with --protocol spin)" in capsys.readouterr().err


def test_rows_of_a_metric_that_was_redefined_are_not_mixed(
    data: Path,
    weights: Path,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setitem(POINT_METRICS, "PVE", PointMetric("vertices", "scale"))
    assert main(command(data, weights, output, "--best-of", "1,3,5")) == 2
    said = capsys.readouterr().err
    assert "with fixed bodies that differ by PVE" in said and said.count("\n") == 1
    assert "PVE-PA" not in said


def test_protocols_change_what_they_say(
    data: Path, weights: Path, output: Path, tmp_path: Path
) -> None:
    metrics = "MPJPE,MPJPE-PA,silhouette-IOU"
    for name in ("spin", "mean-iou"):
        words = command(data, weights, tmp_path / name, "--protocol", name, "--metrics", metrics)
        assert main(words) == 0
    paper, spin, mean = (
        numbers(f)["metrics"] for f in (output, tmp_path / "spin", tmp_path / "mean-iou")
    )
    assert spin["MPJPE"] != paper["MPJPE"] == mean["MPJPE"]
    assert spin["MPJPE-PA"] == pytest.approx(paper["MPJPE-PA"], rel=1e-5)
    each = [row["silhouette-IOU"] for row in rows(output / "frames")]
    assert mean["silhouette-IOU"] == pytest.approx(np.mean(each)) != paper["silhouette-IOU"]


def test_raw_3dpw_is_preprocessed_first(golden: Path, weights: Path, tmp_path: Path) -> None:
    root = tmp_path / "3DPW"
    (root / "sequenceFiles" / "test").mkdir(parents=True)
    name = "downtown_fake_00.pkl"
    shutil.copyfile(golden / "h_pw3d" / name, root / "sequenceFiles" / "test" / name)
    shutil.copytree(
        golden / "h_pw3d" / "imageFiles", root / "imageFiles", copy_function=shutil.copyfile
    )
    words = [
        "evaluate", "--dataset", "3dpw", "--data", str(root), "--output", str(tmp_path / "out"),
        "--weights", str(weights), "--keypoints", "movenet", "--num-samples", "2",
        "--device", "cpu",
    ]  # fmt: skip
    assert main(words) == 0
    found = numbers(tmp_path / "out")
    assert found["rows_by_status"] == {"ok": 8}
    assert len(found["metrics"]) == 14 and "PVE-T-SC_samples_min" in found["metrics"]
    assert "84.90 mm (paper" in (tmp_path / "out" / "evaluation.md").read_text()
    assert (tmp_path / "out" / "preprocessed" / "3dpw_test.npz").exists()


@pytest.mark.parametrize(
    "change, message",
    [
        (["--metrics", "MPJPE,PVE-AP"], "got 'PVE-AP'. Did you mean PVE-PA?"),
        (["--protocol", "papers"], "invalid choice: 'papers'"),
        (["--best-of", "1,x"], "argument --best-of: invalid int value: '1,x'"),
        (["--num-samples", "0"], "--num-samples must be at least 1"),
        (["--weights", "/nowhere.tar"], "/nowhere.tar"),
        (["--dataset", "ssp3d", "--data", "/nowhere"], "/nowhere/labels.npz do not exist"),
        (["--dataset", "3dpw", "--data", "/nowhere"], "has no 3dpw_test.npz"),
        (["--dataset", "3dpw", "--metrics", "silhouette-IOU"], "silhouettes, which 3dpw has not"),
        (["--protocl", "paper"], "Did you mean --protocol?"),
        (["--data", ""], "--data DIR|FILE is missing"),
    ],
)
def test_bad_usage_is_one_line(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
    change: list[str], message: str,
) -> None:  # fmt: skip
    assert main(command(data, weights, tmp_path / "out", *change)) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and error.count("\n") == 1


def test_weights_for_another_body_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "net.safetensors"
    metadata = WeightsMetadata(body_family="smpl", sign_rule="paper")
    save_distribution_net(DistributionNet(NetworkConfig()), path, metadata)
    assert main(command(data, path, tmp_path / "out")) == 2
    assert "weights and body model that belong together" in capsys.readouterr().err


def test_two_runs_are_compared(
    data: Path, weights: Path, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    assert (
        main(command(data, weights, other, "--best-of", "1,3,5", "--seed", "7", "--limit", "8"))
        == 0
    )
    num_rows, differences = compare(str(output), str(other))
    assert num_rows == 8
    by_name = {difference.name: difference for difference in differences}
    assert by_name["MPJPE"].low == by_name["MPJPE"].high == 0 and not by_name["MPJPE"].is_clear
    drawn = by_name["joints2Dsamples-L2E"]
    assert drawn.low <= drawn.mean_b - drawn.mean_a <= drawn.high
    assert main(["evaluate", "--compare", str(output), str(other)]) == 0
    assert "8 common rows" in capsys.readouterr().out


def test_refined_bodies_are_compared_with_the_modes(
    data: Path, weights: Path, output: Path, tmp_path: Path
) -> None:
    assert main(command(data, weights, tmp_path, "--best-of", "1,3,5", "--refine")) == 0
    assert "the mode moved onto the confident keypoints" in (tmp_path / "evaluation.md").read_text()
    assert "--refine" not in (output / "evaluation.md").read_text()
    _, differences = compare(str(output), str(tmp_path))
    (joints2d,) = [d for d in differences if d.name == "joints2D-L2E"]
    assert joints2d.high < 0


def test_the_interval_holds_the_mean_and_narrows() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0.5, 1.0, (400, 1))
    low, high = paired_interval(differences, seed=0)
    # 95 % interval of a mean of 400: about +- 1.96 / 20
    assert (high - low)[0] == pytest.approx(2 * 1.96 * differences.std() / 20, rel=0.1)
    assert low[0] < differences.mean() < high[0]


def test_a_folder_without_evaluation_is_not_compared(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["evaluate", "--compare", str(output), str(tmp_path)]) == 2
    assert "not a finished evaluation" in capsys.readouterr().err
