"""What a prediction can be told, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from hierprob3d.configs.prediction import ModelsConfig, RunConfig
from hierprob3d.configs.synthetic_people import SynthesisConfig


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:13"])
def test_devices(device: str) -> None:
    assert ModelsConfig(device=device).device == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "cpu:0", "cuda:0 ", ""])
def test_what_is_no_device(device: str) -> None:
    with pytest.raises(ValueError, match="--device must be auto, cpu, cuda or cuda:N, got"):
        ModelsConfig(device=device)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_time_limits_are_numbers_above_0(seconds: float) -> None:
    with pytest.raises(ValueError, match="--time-limit-per-item must be a number above 0, got"):
        RunConfig(output="o", time_limit_per_item=seconds)


@pytest.mark.parametrize(
    "values", [{"keypoint_threshold": 1.1}, {"detector_threshold": -0.1}], ids=str
)
def test_thresholds_are_shares(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} must lie"):
        ModelsConfig(**values)


def test_a_renderer_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match="--renderer must be one of opencv, torch, pytorch3d, got 'gl'"
    ):
        RunConfig(output="o", renderer="gl")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="--renderer pytorch3d: .* is not installed"):
        RunConfig(output="o", renderer="pytorch3d")
    with pytest.raises(ValueError, match="data.synthesis.renderer pytorch3d: "):
        SynthesisConfig(renderer="pytorch3d")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "pytorch3d" or None)
    assert RunConfig(output="o", renderer="pytorch3d").renderer == "pytorch3d"
