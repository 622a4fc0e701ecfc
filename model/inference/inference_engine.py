"""Which library runs a network: torch, or a faster one that it is converted for.

On a CPU ONNX Runtime and OpenVINO take a third of torch's time for the networks that look at
pictures, with the same results to some 1e-4 of their logits. Networks are converted once and kept
on disk. On a GPU torch runs them all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from importlib import metadata, util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from hierprob3d.configs.prediction import ENGINES
from hierprob3d.model.files.weight_files import sha256_of

from . import onnx_engine, openvino_engine
from .converted_files import conversion_key, keep_folder, kept_folder
from .network_source import NetworkSource

TORCH = "torch"
_MODULES: dict[str, ModuleType] = {"onnx": onnx_engine, "openvino": openvino_engine}
"""Of the other engines, in the order in which they are tried: see docs/speed.md."""

_WHOLE_OUTPUT = "output"
"""Name of the only output of a network that gives no dictionary."""

_TOLERANCE = 1e-3
"""Largest difference from torch, as a share of the largest number of an output, at least 1."""

_logger = logging.getLogger(__name__)

assert set(ENGINES) == {"auto", TORCH, *_MODULES}


class EngineError(ValueError):
    """An engine that was asked for by name cannot run a network."""


class InferenceEngine:
    """Runs the networks of a run by one library, where that can.

    Args:
        wanted: one of `configs.prediction.ENGINES`. With auto, an engine that is missing or fails
            is told in a line, and torch runs the network.
        device: where torch computes; on a GPU auto is torch.

    Raises:
        EngineError: an engine that was named is not installed, or computes elsewhere.
    """

    def __init__(self, wanted: str, device: torch.device) -> None:
        self.is_named = wanted != "auto"
        self.name = wanted if self.is_named else _best(device)
        self.ran: dict[str, str] = {}
        """What runs each network, by the network's part: name and version, why it is torch."""

        if self.name == TORCH:
            return
        if device.type != "cpu":
            raise EngineError(
                f"--engine {wanted} computes on the CPU: use --device cpu or --engine torch."
            )
        missing = _missing(self.name)
        if missing:
            raise EngineError(
                f"--engine {wanted} needs the package{'s' * (len(missing) > 1)} "
                f"{' and '.join(missing)}, not installed here: pip install {' '.join(missing)}, or "
                "use --engine auto."
            )

    def source_of(self, part: str, by_default: bool = True) -> NetworkSource:
        """What gives the network of a part to those that run it, see `network`."""
        return lambda load, kind, weights: self.network(part, load, kind, weights, by_default)

    def network(
        self,
        part: str,
        load: Callable[[], nn.Module],
        kind: type[nn.Module],
        weights: Path,
        by_default: bool = True,
        example: Shaped[Tensor, "1 C H W"] | None = None,
    ) -> nn.Module:
        """What runs a network: itself, or its converted form, which is called the same way.

        Where that is kept on disk, the network of torch is not even loaded.

        Args:
            part: what it does, such as detector.
            load: gives the network of torch, on its device and ready for inference.
            kind: its class; where that has no `example_input` and no example is given, torch alone
                can run it.
            weights: file or folder that it is read from.
            by_default: whether auto may convert it; not where results hang on the last bits.
            example: one picture as the network is given it; None: that of its class.

        Raises:
            EngineError: the engine was named, and fails on this network.
            Exception: what `load` raises.
        """
        self.ran[part] = f"{TORCH} {torch.__version__}"
        example = _example_of(kind) if example is None else example
        is_wanted = self.name != TORCH and (by_default or self.is_named)
        if not is_wanted or example is None:
            return load()
        try:
            sha256 = sha256_of(weights)
        except OSError:
            return load()  # which says what is wrong with them
        versions = f"{self.name} {_versions(self.name)}"
        try:
            key = conversion_key(part, load, kind, sha256, versions)
        except OSError as error:  # installed without its code: nobody knows what is kept of it
            self._tell_failure(part, error)
            return load()
        folder = kept_folder(key)
        if folder is None:
            network = load()
            try:
                folder = keep_folder(key, _conversion(self.name, network, example))
            except Exception as error:  # whatever a foreign library does with it, torch can run it
                self._tell_failure(part, error)
                return network
        self.ran[part] = versions
        return EngineNetwork(_MODULES[self.name], folder)

    def _tell_failure(self, part: str, error: Exception) -> None:
        reason = f"{self.name} cannot run the {part} network ({_one_line(error)})"
        if self.is_named:
            raise EngineError(f"--engine {reason}; use --engine auto or torch.") from error
        _logger.warning("%s; torch runs it, more slowly", reason)
        self.ran[part] += f" ({reason})"


class EngineNetwork(nn.Module):
    """A converted network: what goes in and comes out is that of the network of torch.

    Args:
        module: of the engine.
        folder: of the converted network.
    """

    def __init__(self, module: ModuleType, folder: Path) -> None:
        super().__init__()
        self._module = module
        self._folder = folder
        self._sessions: dict[int, Any] = {}
        self._lock = threading.Lock()

    def forward(
        self, images: Shaped[Tensor, "B C H W"]
    ) -> Shaped[Tensor, " ..."] | dict[str, Tensor]:
        """The network's outputs, on the CPU; it takes as many threads as torch does."""
        session = self._session(torch.get_num_threads())
        outputs = map(torch.from_numpy, session(images.contiguous().numpy()))
        if session.names == (_WHOLE_OUTPUT,):
            return next(outputs)
        return dict(zip(session.names, outputs, strict=True))

    def _session(self, num_threads: int) -> Any:
        """Made when first called: how many threads there are is known only then."""
        with self._lock:
            if num_threads not in self._sessions:
                self._sessions[num_threads] = self._module.Session(self._folder, num_threads)
            return self._sessions[num_threads]


class _Listed(nn.Module):
    """A network whose outputs are a tuple, as converters want them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(_by_name(self.network(images)).values())


def _conversion(engine: str, network: nn.Module, example: Tensor) -> Callable[[Path], None]:
    """Converts the network into a folder, and compares what is there with torch."""
    module = _MODULES[engine]

    def make(folder: Path) -> None:
        with torch.inference_mode(False), torch.no_grad():
            names = tuple(_by_name(network(example)))
            module.convert(_Listed(network).eval(), example, names, folder)
            _check_same(network, EngineNetwork(module, folder), example)

    return make


def _example_of(kind: type[nn.Module]) -> Tensor | None:
    """A picture as networks of a class read it; None where it cannot say."""
    example: Callable[[], Tensor] | None = getattr(kind, "example_input", None)
    return None if example is None else example()


def _check_same(network: nn.Module, converted: nn.Module, example: Tensor) -> None:
    """Raise ValueError unless both say the same of one picture and of two."""
    for images in (example, example.flip(-1).repeat(2, 1, 1, 1)):
        expected, found = _by_name(network(images)), _by_name(converted(images))
        for name, values in expected.items():
            difference = float((found[name].reshape(values.shape) - values).abs().max())
            if not difference <= _TOLERANCE * max(1.0, float(values.abs().max())):
                raise ValueError(f"its {name} differs from torch's by {difference:.1e}")


def _by_name(outputs: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return {_WHOLE_OUTPUT: outputs} if isinstance(outputs, Tensor) else outputs


def _best(device: torch.device) -> str:
    """The engine that is fastest, of those installed."""
    if device.type != "cpu":
        return TORCH
    for name in _MODULES:
        if not _missing(name):
            return name
    _logger.warning("neither onnxruntime nor openvino is installed: torch runs all networks")
    return TORCH


def _missing(engine: str) -> list[str]:
    return [name for name in _MODULES[engine].PACKAGES if util.find_spec(name) is None]


def _versions(engine: str) -> str:
    return metadata.version(_MODULES[engine].PACKAGES[0])


def _one_line(error: Exception) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
