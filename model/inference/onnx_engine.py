"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from .onnx_padding import join_padding

PACKAGES = ("onnxruntime", "onnx")
_INPUT = "images"
_OPSET = 17
_GRAPH, _WEIGHTS = "network.onnx", "weights"


def convert(
    network: nn.Module, example: Shaped[Tensor, "1 C H W"], names: tuple[str, ...], folder: Path
) -> None:
    """Writes the network's graph and its weights, for pictures of any number and size.

    Weights are a file of their own, which is mapped where it is read: 50 MB less of BlazePose.
    """
    import onnx

    sizes = {0: "number", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about an exporter that later versions of torch may lack
        torch.onnx.export(
            network, (example,), str(folder / _GRAPH), dynamo=False, opset_version=_OPSET,
            input_names=[_INPUT], output_names=list(names), dynamic_axes={_INPUT: sizes},
        )  # fmt: skip
    _fold_constants(folder / _GRAPH)
    model = onnx.load(folder / _GRAPH)
    join_padding(model)
    onnx.save_model(model, folder / _GRAPH, save_as_external_data=True, location=_WEIGHTS)


def _fold_constants(graph: Path) -> None:
    """Computes once what depends on no picture, such as how wide a border is."""
    onnxruntime = _silent_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(graph)
    onnxruntime.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])


def _silent_runtime() -> ModuleType:
    """ONNX Runtime, which sends nothing: from 1.29 on it reports models and machine to its makers.

    The variable counts before it is first imported; where somebody did so, less is held back.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


class Session:
    """A converted network, ready to run; any number of threads may call it at once.

    Args:
        folder: that `convert` wrote into.
        num_threads: how many threads a call takes.
    """

    def __init__(self, folder: Path, num_threads: int) -> None:
        onnxruntime = _silent_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3  # errors: it warns of shapes that vary
        options.enable_mem_pattern = False  # 30 MB a network, and no faster where sizes differ
        # Threads that wait leave the core to others, such as the other worker processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / _GRAPH), options, providers=["CPUExecutionProvider"]
        )
        self.names = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Outputs in the order of `names`."""
        return list(self._session.run(None, {_INPUT: images}))
