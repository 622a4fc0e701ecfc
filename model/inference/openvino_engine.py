"""OpenVINO, on the CPU, in float32."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Shaped
from torch import Tensor, nn

PACKAGES = ("openvino",)
_GRAPH = "graph.xml"  # its weights are beside it, graph.bin


def convert(
    network: nn.Module, example: Shaped[Tensor, "1 C H W"], names: tuple[str, ...], folder: Path
) -> None:
    """Writes the network's graph, with its weights, for pictures of any number and size."""
    openvino = _silent_openvino()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: nothing here depends on an input's values
        model = openvino.convert_model(network, example_input=example)
    num_channels = example.shape[1]
    model.reshape(openvino.PartialShape([-1, num_channels, -1, -1]))
    for output, name in zip(model.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    openvino.save_model(model, folder / _GRAPH, compress_to_fp16=False)


def _silent_openvino() -> ModuleType:
    """OpenVINO, which sends nothing: it reports each import and conversion to its makers.

    It does without the package that reports where that cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class Session:
    """A converted network, ready to run; any number of threads may call it at once.

    Args:
        folder: that `convert` wrote into.
        num_threads: how many threads a call takes.
    """

    def __init__(self, folder: Path, num_threads: int) -> None:
        openvino = _silent_openvino()
        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # on some processors it would take bfloat16
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several processes would share one core
        }
        self._model = core.compile_model(folder / _GRAPH, "CPU", settings)
        self.names = tuple(output.get_any_name() for output in self._model.outputs)
        self._requests = threading.local()

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Outputs in the order of `names`."""
        if not hasattr(self._requests, "mine"):
            self._requests.mine = self._model.create_infer_request()
        outputs = self._requests.mine.infer({0: images}, share_inputs=True)
        return [outputs[output] for output in self._model.outputs]
