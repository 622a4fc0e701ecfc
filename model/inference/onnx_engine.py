"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

SUFFIX = ".onnx"
PACKAGES = ("onnxruntime", "onnx")
_INPUT = "images"
_OPSET = 17


def convert(
    network: nn.Module, example: Shaped[Tensor, "1 C H W"], names: tuple[str, ...], path: Path
) -> None:
    """Writes the network's graph, with its weights, for pictures of any number and size."""
    sizes = {0: "number", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about an exporter that later versions of torch may lack
        torch.onnx.export(
            network, (example,), str(path), dynamo=False, opset_version=_OPSET,
            input_names=[_INPUT], output_names=list(names), dynamic_axes={_INPUT: sizes},
        )  # fmt: skip


class Session:
    """A converted network, ready to run; any number of threads may call it at once.

    Args:
        path: what `convert` wrote.
        num_threads: how many threads a call takes.
    """

    def __init__(self, path: Path, num_threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3  # errors: it warns of shapes that vary
        options.enable_mem_pattern = False  # 30 MB a network, and no faster where sizes differ
        # Threads that wait leave the core to others, such as the other worker processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.names = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Outputs in the order of `names`."""
        return list(self._session.run(None, {_INPUT: images}))
