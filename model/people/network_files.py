"""Networks of the people's stages out of their files of weights, or one line that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.weight_files import WeightsError, misfit

Network = TypeVar("Network", bound=nn.Module)


def filled_network(
    make: Callable[[], Network],
    tensors: Mapping[str, Tensor],
    path: Path,
    kind: str,
    device: str | torch.device,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """The network with its weights, ready for inference and in the layout that computes fastest.

    Args:
        make: gives the network; whatever size it declares, nothing is allocated for it.
        tensors: its weights, of any float type.
        path: where they were read from, for messages.
        kind: what the file should be, such as "a MoveNet safetensors file".
        device: where the network will run.
        dtype: float32, or float16 on a GPU.

    Raises:
        WeightsError: these are not the weights of such a network, or not all.
    """
    with one_line_errors(WeightsError, path, f"is not {kind}"), torch.device("meta"):
        network = make()
    problem = misfit(network.state_dict(), tensors)
    if problem:
        raise WeightsError(f"{path} is not {kind} of ours: {problem}.")
    state = {name: tensor.float() for name, tensor in tensors.items()}
    network.load_state_dict(state, strict=True, assign=True)
    network.eval().requires_grad_(False)
    return network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)
