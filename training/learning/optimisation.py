"""One step of the optimiser: learning rate, scale of the gradients, clipping."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hierprob3d.configs.training_phases import OptimiserConfig

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
"""Number formats of the encoder by the name of the precision."""

_logger = logging.getLogger(__name__)


class Optimisation:
    """AdamW with a warm-up and a cosine descent; in fp16 losses are scaled up before `backward`.

    Args:
        parameters: to be trained.
        config: see OptimiserConfig.
        precision: bf16, fp16 or fp32.
        device: of the network.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        config: OptimiserConfig,
        precision: str,
        device: torch.device,
    ) -> None:
        self.config, self.parameters = config, list(parameters)
        self.optimiser = torch.optim.AdamW(
            self.parameters, config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def start(self, step: int, total: int) -> None:
        """Forgets the last step's gradients; sets the learning rate of step `step` of `total`."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, step, total)
        self.optimiser.zero_grad()

    def add(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, scaled."""
        self.scaler.scale(loss).backward()

    def finish(self, step: int) -> bool:
        """Whether the parameters were changed: not where their gradient is not finite."""
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.max_gradient_norm)
        finite = bool(torch.isfinite(norm))
        if finite:
            self.scaler.step(self.optimiser)
        else:
            _logger.warning("step %d left out: its gradient is not finite", step)
        self.scaler.update()
        return finite


def learning_rate(config: OptimiserConfig, step: int, total: int) -> float:
    """Learning rate of step `step`, counted from 0, of `total`."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    fall = 0.5 * (1 + math.cos(math.pi * step / total))
    fall = config.final_lr_ratio + (1 - config.final_lr_ratio) * fall
    return config.lr * warm * fall
