"""A process without torch learns of models what one that has loaded them knows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hierprob3d.configs.prediction import ModelsConfig
from hierprob3d.transforms.batch.model_facts import _asked_facts, loaded_facts


def test_another_process_says_the_same_and_what_is_wrong() -> None:
    assert _asked_facts(ModelsConfig(), []) == loaded_facts(ModelsConfig(), [])
    with pytest.raises(FileNotFoundError, match="weights .*no.tar do not exist"):
        _asked_facts(ModelsConfig(weights="no.tar"), [])


def test_planning_and_inspecting_take_neither_torch_nor_beam() -> None:
    modules = "hierprob3d.pipelines.parts.plan_parts, hierprob3d.pipelines.predict"
    script = (
        f"import sys, hierprob3d.pipelines.inspect, {modules}; "
        "assert not {'torch', 'apache_beam', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
