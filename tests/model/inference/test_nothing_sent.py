"""Libraries that report to their makers: told not to."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

# Reporting begins with an identity of the machine, written below the home or temporary folder.
SCRIPT = """
import sys, tempfile
from importlib import import_module
from pathlib import Path
import torch
engine = import_module(f"hierprob3d.model.inference.{sys.argv[1]}_engine")
network, pictures = torch.nn.Conv2d(3, 4, 3, padding=1).eval(), torch.ones(1, 3, 8, 8)
folder = Path(sys.argv[2])
engine.convert(network, pictures, ("features",), folder)
print(engine.Session(folder, 1)(pictures.numpy())[0].shape)
"""


@pytest.mark.parametrize(("engine", "package"), [("onnx", "onnxruntime"), ("openvino",) * 2])
def test_an_engine_leaves_no_identity_of_the_machine(
    engine: str, package: str, tmp_path: Path
) -> None:
    if util.find_spec(package) is None:
        pytest.skip(f"{package} is an extra and not installed")
    home, network = tmp_path / "home", tmp_path / "network"
    home.mkdir()
    network.mkdir()
    # Both would keep silent in a run of tests that says so.
    environment = {name: text for name, text in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-c", SCRIPT, engine, str(network)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "(1, 4, 8, 8)" in done.stdout, done.stderr
    assert list(home.rglob("*")) == []
