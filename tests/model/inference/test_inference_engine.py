"""Networks by other libraries than torch: the same answers, and torch where they fail."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.inference import inference_engine, onnx_engine
from hierprob3d.model.inference.converted_files import CACHE_VARIABLE
from hierprob3d.model.inference.inference_engine import EngineError, InferenceEngine
from hierprob3d.model.people.keypoint_estimators import MoveNetKeypoints
from hierprob3d.model.people.movenet import MULTIPOSE_PATH, THUNDER_PATH, MoveNet
from hierprob3d.model.people.person_detectors import MoveNetDetector

CPU = torch.device("cpu")
ENGINES = ("onnx", "openvino")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> InferenceEngine:
    if inference_engine._missing(request.param):
        pytest.skip(f"{request.param} is an extra and not installed")
    return InferenceEngine(request.param, CPU)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.asarray(Image.open(ASSETS / "demo" / "astronaut.png").convert("RGB"))


def small_network() -> MoveNet:
    torch.manual_seed(0)
    return MoveNet(0.5, multi=False).eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"some")
    return path


def test_people_and_keypoints_are_those_of_torch(
    engine: InferenceEngine, astronaut: np.ndarray
) -> None:
    # Of several sizes: the networks are converted at one.
    pictures = [astronaut, astronaut[:400, 60:360], np.ascontiguousarray(astronaut[:, ::-1])]
    detector, estimator = MoveNetDetector(), MoveNetKeypoints()
    expected = detector.detect_batch(pictures)
    keypoints = estimator.estimate_batch(pictures, expected)
    for part, owner, path in (("detector", detector, MULTIPOSE_PATH),
                              ("keypoints", estimator, THUNDER_PATH)):  # fmt: skip
        plain = owner.network
        owner.network = engine.network(part, lambda plain=plain: plain, MoveNet, path)
        assert engine.ran[part].startswith(engine.name)
    found = detector.detect_batch(pictures)
    assert [len(people) for people in found] == [len(people) for people in expected]
    again = estimator.estimate_batch(pictures, found)
    for boxes, mine, theirs in zip(found, again, keypoints, strict=True):
        px_of_crop = 256 / (1.25 * (boxes.boxes[:, 2:] - boxes.boxes[:, :2]).max(1))
        distances = np.linalg.norm((mine.keypoints - theirs.keypoints)[..., :2], axis=-1)
        assert np.percentile(distances * px_of_crop[:, None], 95) < 0.5
        np.testing.assert_allclose(mine.keypoints[..., 2], theirs.keypoints[..., 2], atol=1e-3)


def test_any_number_of_threads_may_call_a_network(engine: InferenceEngine, weights: Path) -> None:
    network = small_network()
    converted = engine.network("detector", lambda: network, MoveNet, weights)
    pictures = [torch.randint(0, 256, (1, 3, 64, 32 * n)).byte() for n in (1, 2, 3, 4)]
    expected = [network(picture)["center"] for picture in pictures]
    found: dict[int, torch.Tensor] = {}

    def run(number: int) -> None:
        with torch.inference_mode():
            for _ in range(5):
                found[number] = converted(pictures[number])["center"]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, values in enumerate(expected):
        torch.testing.assert_close(found[number], values, atol=1e-4, rtol=1e-3)


def test_a_converted_network_is_kept_for_its_weights_and_torchs_is_not_loaded(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    loaded: list[MoveNet] = []

    def load() -> MoveNet:
        loaded.append(small_network())
        return loaded[-1]

    for content, number in ((b"some", 1), (b"some", 1), (b"other", 2)):
        weights.write_bytes(content)
        engine = InferenceEngine("onnx", CPU)
        network = engine.network("detector", load, MoveNet, weights)
        assert engine.ran["detector"].startswith("onnx ") and len(loaded) == number
        assert len(list((tmp_path / "cache" / "networks").iterdir())) == number
        picture = MoveNet.example_input()
        torch.testing.assert_close(network(picture), loaded[0](picture), atol=1e-4, rtol=1e-3)
    engine.network("keypoints", load, MoveNet, weights)  # loading may refuse it there
    assert len(loaded) == 3


def test_weights_that_are_missing_are_told_by_what_loads_them(tmp_path: Path) -> None:
    def load() -> MoveNet:
        raise FileNotFoundError("no weights there")

    for name in ("auto", "onnx"):
        with pytest.raises(FileNotFoundError, match="no weights there"):
            InferenceEngine(name, CPU).network("detector", load, MoveNet, tmp_path / "none")


def test_what_fails_runs_on_torch_with_a_line_and_is_an_error_by_name(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such operator\nand much more")

    weights.write_bytes(b"never converted")
    monkeypatch.setattr(onnx_engine, "convert", broken)
    network, engine = small_network(), InferenceEngine("auto", CPU)
    assert engine.network("detector", lambda: network, MoveNet, weights) is network
    assert "onnx cannot run the detector network (no such operator)" in engine.ran["detector"]
    assert engine.ran["detector"].startswith("torch") and len(caplog.messages) == 1
    with pytest.raises(EngineError, match="no such operator.*--engine auto or torch"):
        InferenceEngine("onnx", CPU).network("detector", lambda: network, MoveNet, weights)


def test_another_answer_than_torchs_is_a_failure(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.write_bytes(b"of wrong answers")
    convert = onnx_engine.convert

    def wrong(network: torch.nn.Module, *others: object) -> None:
        with torch.no_grad():
            network.network.heads["center"].out.bias += 1
        convert(network, *others)  # type: ignore[arg-type]
        with torch.no_grad():
            network.network.heads["center"].out.bias -= 1

    monkeypatch.setattr(onnx_engine, "convert", wrong)
    with pytest.raises(EngineError, match="differs from torch's by"):
        InferenceEngine("onnx", CPU).network("detector", small_network, MoveNet, weights)


def test_an_engine_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inference_engine.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="--engine openvino needs the package openvino.*pip inst"):
        InferenceEngine("openvino", CPU)
    assert InferenceEngine("auto", CPU).name == "torch"
    assert "neither onnxruntime nor openvino is installed" in caplog.text


def test_on_a_gpu_torch_runs_all_and_no_other_can() -> None:
    gpu = torch.device("cuda")
    assert InferenceEngine("auto", gpu).name == "torch"
    with pytest.raises(EngineError, match="computes on the CPU"):
        InferenceEngine("onnx", gpu)


def test_what_hangs_on_the_last_bits_stays_with_torch(weights: Path) -> None:
    engine, network = InferenceEngine("auto", CPU), small_network()
    found = engine.network("keypoints", lambda: network, MoveNet, weights, by_default=False)
    assert found is network
    assert engine.network("detector", lambda: network, torch.nn.Linear, weights) is network
