"""What the command loads before it annotates one picture: start and memory hang on it."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = ("apache_beam", "grpc", "torchvision", "scipy", "sympy", "torch._dynamo")
SCRIPT = f"""
import sys
import hierprob3d.pipelines.predict
from hierprob3d.model.network.checkpoints import default_weights_path, load_distribution_net
load_distribution_net(default_weights_path())
import torch
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher
from hierprob3d.model.rotation.random_streams import RandomStreams
MatrixFisher(torch.eye(3)[None]).sample((2,), RandomStreams(torch.tensor([1])))
print([name for name in {NOT_NEEDED} if name in sys.modules])
"""


def test_predict_loads_neither_beam_nor_other_slow_modules() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
