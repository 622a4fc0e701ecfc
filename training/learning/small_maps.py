"""Convolutions that learn fast on CPUs from small feature maps.

The library's gradient of a convolution's weights spends most of its time on moving the weights of
wide layers about, whatever the size of the maps. Where these are small, as the encoder's last ones
are, the same sum as one matrix product takes a fifth to a tenth of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_MOST_PIXELS = 64
"""Pixels of the largest output map that is worth it: from 16 x 16 on the library is faster."""


def learn_from_small_maps(encoder: nn.Module) -> None:
    """Lets the plain convolutions of an encoder find their weights' gradients as products.

    Names, parameters and outputs stay as they are.
    """
    for layer in encoder.modules():
        if type(layer) is nn.Conv2d and _is_plain(layer):
            layer.__class__ = SmallMapConv2d


def _is_plain(layer: nn.Conv2d) -> bool:
    is_padded = isinstance(layer.padding, tuple) and layer.padding_mode == "zeros"
    return is_padded and layer.groups == 1 and layer.dilation == (1, 1)


class SmallMapConv2d(nn.Conv2d):
    """A Conv2d without groups and dilation; slower only in that autocast keeps no cast weights."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not weight.requires_grad:
            return super()._conv_forward(input, weight, bias)
        device = input.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            input, weight = input.to(dtype), weight.to(dtype)
        output = _Convolution.apply(input, weight, self.stride, self.padding)
        return output if bias is None else output + bias.to(output.dtype)[:, None, None]


class _Convolution(torch.autograd.Function):
    """conv2d of (B, C, H, W) with (D, C, k, l)."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        with torch.autocast(input.device.type, enabled=False):
            return functional.conv2d(input, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        gradient = gradients[0]
        is_small = gradient.shape[-1] * gradient.shape[-2] <= _MOST_PIXELS
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1] and not is_small, False]
        to_input, to_weight, _ = torch.ops.aten.convolution_backward(
            gradient, input, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, wanted
        )  # fmt: skip
        if is_small and ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(input, gradient, weight, ctx.stride, ctx.padding)
        return to_input, to_weight, None, None


def _weight_gradient(
    input: Tensor,
    gradient: Tensor,
    weight: Tensor,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> Tensor:
    """Gradient (D, C, k, l) of the weights: outputs' gradients times the patches they saw."""
    (down, across), (top, left) = stride, padding
    num, rows, columns = len(input), *gradient.shape[-2:]
    padded = functional.pad(input.permute(0, 2, 3, 1), (0, 0, left, left, top, top)).contiguous()
    step, step_row, step_column, _ = padded.stride()
    height, width = weight.shape[-2:]
    patches = padded.as_strided(
        (num, rows, columns, height, width, padded.shape[-1]),
        (step, down * step_row, across * step_column, step_row, step_column, 1),
    ).reshape(num * rows * columns, -1)
    products = gradient.permute(1, 0, 2, 3).flatten(1) @ patches
    return products.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)
