"""Where networks compute."""

from __future__ import annotations

import torch


def resolve_device(name: str) -> torch.device:
    """The device behind auto, cpu, cuda or cuda:N.

    Raises:
        ValueError: there is no such GPU here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                f"--device {name}: PyTorch finds no usable GPU here; use --device cpu."
            )
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise ValueError(
                f"--device {name}: PyTorch finds {count} GPUs here, cuda:0 to cuda:{count - 1}."
            )
    return device
