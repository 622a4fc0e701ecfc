"""MoveNet, Google's pose networks: a MobileNetV2 with a feature pyramid and CenterNet heads.

Two networks share this code: `multipose` finds several people in a picture of any size that is a
multiple of 32, `thunder` finds the 17 COCO keypoints of one person in a 256 x 256 crop. Both read
RGB in 0..255 (the scaling to -1..1 is part of the network) and answer with maps of a quarter of
the input's size, which `movenet_decoding` turns into people.

Source: weights and graph of https://tfhub.dev/google/tfjs-model/movenet/multipose/lightning/1 and
https://tfhub.dev/google/movenet/singlepose/thunder/4 (Apache 2.0, see assets/movenet/NOTICE).
float16 changes keypoints by hundredths of a pixel; bfloat16 by several pixels: do not use it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.files.weight_files import WeightsError, read_safetensors

from .network_files import filled_network

MULTIPOSE_PATH = ASSETS / "movenet" / "movenet-multipose.safetensors"
THUNDER_PATH = ASSETS / "movenet" / "movenet-thunder.safetensors"

STRIDE = 4
"""Input pixels per cell of an output map."""

SIZE_MULTIPLE = 32
"""Height and width of an input must be multiples of this."""

THUNDER_SIZE = 256
"""Side of thunder's square input, pixels."""

_SINGLE_HEADS = {"center": 1, "kpt_heatmap": 17, "kpt_regress": 34, "kpt_offset": 34}
_MULTI_HEADS = {**_SINGLE_HEADS, "box_scale": 2, "box_offset": 2}

# The published graph holds 2 / 255 rounded to float16.
_INPUT_SCALE = 0.007843017578125

# MobileNetV2's inverted residual blocks: (channels at width 1, stride, adds its input).
_BLOCKS = (
    (16, 1, False), (24, 2, False), (24, 1, True), (32, 2, False), (32, 1, True), (32, 1, True),
    (64, 2, False), (64, 1, True), (64, 1, True), (64, 1, True), (96, 1, False), (96, 1, True),
    (96, 1, True), (160, 2, False), (160, 1, True), (160, 1, True), (320, 1, False),
)  # fmt: skip
_PYRAMID_TAPS = (9, 5, 2)  # blocks whose outputs (strides 16, 8, 4) join the pyramid
_PYRAMID_CHANNELS = (64, 64, 32, 24)  # of the last features, then of the taps


class MoveNet(nn.Module):
    """Head maps (logits, float32) of RGB pictures.

    Args:
        width: multiplier of MobileNetV2's channels (multipose 1.5, thunder 1.75).
        multi: whether the network finds several people, with boxes, or one.
    """

    def __init__(self, width: float, multi: bool) -> None:
        super().__init__()
        self.multi = multi
        channels = [_scaled_channels(32, width)]
        channels += [_scaled_channels(block[0], width) for block in _BLOCKS]
        self.conv1 = _conv(3, channels[0], 3, stride=2)
        self.blocks = nn.ModuleList(
            _InvertedResidual(channels[i], channels[i + 1], stride, adds, expands=i > 0)
            for i, (_, stride, adds) in enumerate(_BLOCKS)
        )
        self.conv_last = _conv(channels[-1], 1280, 1)
        inputs = [1280, *(channels[tap + 1] for tap in _PYRAMID_TAPS)]
        self.lateral = nn.ModuleList(
            _conv(num_in, num_out, 1)
            for num_in, num_out in zip(inputs, _PYRAMID_CHANNELS, strict=True)
        )
        self.fuse = nn.ModuleList(
            _SeparableConv(num_in, num_out) for num_in, num_out in ((64, 32), (32, 24), (24, 24))
        )
        heads = _MULTI_HEADS if multi else _SINGLE_HEADS
        self.heads = nn.ModuleDict({name: _Head(24, num) for name, num in heads.items()})

    def forward(self, images: Shaped[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Maps of every head.

        Args:
            images: (B, 3, H, W) RGB in 0..255, any type; H and W multiples of 32.

        Returns:
            Per head a (B, C, H/4, W/4) map: logits (`center`, `kpt_heatmap`), or offsets and
            sizes in cells, row before column.
        """
        x = images.to(self.conv1.weight.dtype) * _INPUT_SCALE - 1.0
        x = functional.relu6(self.conv1(_pad_for_stride_2(x)))
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _PYRAMID_TAPS:
                taps.append(x)
        x = self.lateral[0](functional.relu6(self.conv_last(x)))
        for lateral, fuse, tap in zip(self.lateral[1:], self.fuse, reversed(taps), strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = fuse(x + lateral(tap))
        return {name: head(x).float() for name, head in self.heads.items()}

    @staticmethod
    def example_input() -> Shaped[Tensor, "1 3 H W"]:
        """One picture as the network reads it, small."""
        return torch.arange(3 * 64 * 64).mul(37).remainder(256).byte().view(1, 3, 64, 64)


def load_movenet(
    path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> MoveNet:
    """The network of a MoveNet safetensors file, ready for inference.

    Args:
        path: MULTIPOSE_PATH, THUNDER_PATH, or a file of the same layout.
        device: where the network will run.
        dtype: float32, or float16 on a GPU.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the file is not a MoveNet of ours, or not a whole one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"MoveNet weights not found: {path}. They are bundled in model/assets/movenet; "
            "reinstall the package or give the path of the safetensors file."
        )
    try:
        tensors, texts = read_safetensors(Path(path))
    except WeightsError as error:
        raise WeightsError(f"{path} is not a MoveNet safetensors file: {error}") from error
    # A float16 table of 1 / (cells to the centre + 1.8); the decoding has the formula.
    tensors.pop("center_weight", None)
    kind = "a MoveNet safetensors file"
    return filled_network(
        lambda: _declared_network(texts), tensors, Path(path), kind, device, dtype
    )


def _declared_network(texts: Mapping[str, str]) -> MoveNet:
    """The network that a file says it holds the weights of."""
    settings = json.loads(texts["movenet"])
    return MoveNet(settings["width"], settings["multi"])


def default_batch_size(device: torch.device) -> int:
    """Pictures at once: 1 on the CPU, where larger batches were measured to be slower; else 32."""
    return 1 if device.type == "cpu" else 32


def _scaled_channels(channels: int, width: float) -> int:
    """`channels` x `width`, rounded to a multiple of 8 that loses at most a tenth of it."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _conv(
    num_in: int, num_out: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = True
) -> nn.Conv2d:
    padding = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(num_in, num_out, kernel, stride, padding, groups=groups, bias=bias)


def _pad_for_stride_2(x: Tensor) -> Tensor:
    """TensorFlow's "same" padding of a 3 x 3 convolution with stride 2: right and bottom only."""
    return functional.pad(x, (0, 1, 0, 1))


class _InvertedResidual(nn.Module):
    """1 x 1 expansion to six times the channels, 3 x 3 depthwise, 1 x 1 projection."""

    def __init__(self, num_in: int, num_out: int, stride: int, adds: bool, expands: bool) -> None:
        super().__init__()
        num_mid = num_in * 6 if expands else num_in
        self.expand = _conv(num_in, num_mid, 1) if expands else None
        self.depthwise = _conv(num_mid, num_mid, 3, stride=stride, groups=num_mid)
        self.project = _conv(num_mid, num_out, 1)
        self.stride = stride
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        if self.stride == 2:
            y = _pad_for_stride_2(y)
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.adds else y


class _SeparableConv(nn.Module):
    """3 x 3 depthwise, 1 x 1 pointwise, ReLU."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.depthwise = _conv(num_in, num_in, 3, groups=num_in, bias=False)
        self.pointwise = _conv(num_in, num_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.pointwise(self.depthwise(x)))


class _Head(nn.Module):
    """One output map from the pyramid's finest features."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.sep = _SeparableConv(num_in, 96)
        self.out = _conv(96, num_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.sep(x))
