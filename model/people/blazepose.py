"""BlazePose GHUM heavy, Google's network of one person's 33 landmarks and silhouette.

It reads a 256 x 256 picture of one person, centred at the hips and roughly upright
(`person_regions` cuts it), and regresses the landmarks; `blazepose_decoding` makes them finer with
the heat maps that it gives as well.

Source: weights and graph of pose_landmark_heavy.tflite, npm package @mediapipe/pose
0.5.1675469404 (Apache 2.0, see assets/blazepose/NOTICE). All published weights are float16, so the
file loses nothing; batch normalisation is folded into the convolutions, as published. bfloat16
moves landmarks by a pixel: do not use it.

One layer, `outline`, is ours: 73 numbers fitted to the network's own silhouettes of rendered
people, which it gives in half their size. It spares the last two blocks, most of a silhouette's
price, and agrees with it to a third of a pixel in the median.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.body.skeleton import NUM_LANDMARKS
from hierprob3d.model.files.bundled import ASSETS
from hierprob3d.model.files.weight_files import WeightsError, read_parts

from .network_files import filled_network

BLAZEPOSE_PATH = ASSETS / "blazepose"

BLAZEPOSE_SIZE = 256
"""Side of the square input, pixels."""

_NUM_POINTS = 39  # the last six describe the next region of a video and are not used here
_STEM, _TOP, _PYRAMID, _SEGMENT, _TAIL = 24, 1632, 48, 8, 288  # channels

# MobileNetV2's inverted residual blocks: (channels inside, kernel, stride, channels, repeats).
_BLOCKS = (
    (96, 3, 2, 32, 1), (128, 3, 1, 32, 1), (192, 3, 1, 32, 2), (192, 5, 2, 56, 1),
    (336, 5, 1, 56, 3), (336, 3, 2, 112, 1), (672, 3, 1, 112, 5), (672, 5, 1, 160, 1),
    (960, 5, 1, 160, 5), (960, 5, 2, 272, 1), (1632, 5, 1, 272, 7),
)  # fmt: skip
_ENCODER = ((96, 6), (192, 7), (288, 7))  # channels, residual blocks at strides 8, 16, 32
_TAIL_BLOCKS = (7, 7)  # at strides 64 and 128


class BlazePose(nn.Module):
    """Landmarks, presence and heat maps of RGB pictures of one person each.

    Args:
        with_mask: whether the silhouette is computed too (a fifth more time).
        with_outline: whether that of half the size is, by a layer of ours in place of the last two
            blocks (a twentieth more time).
    """

    def __init__(self, with_mask: bool = False, with_outline: bool = False) -> None:
        super().__init__()
        self.with_mask = with_mask
        self.with_outline = with_outline
        self.stem = nn.Conv2d(3, _STEM, 3, 2, 1)
        self.stem_depthwise = _depthwise(_STEM)
        self.stem_project = nn.Conv2d(_STEM, _STEM, 1)
        self.blocks, taps, channels = nn.ModuleList(), [], _STEM
        for inside, kernel, stride, num_out, repeats in _BLOCKS:
            taps += [channels] if stride == 2 else []  # what enters a halving, joined later
            for _ in range(repeats):
                self.blocks.append(_InvertedResidual(channels, inside, kernel, stride, num_out))
                channels = num_out
        self.top_expand = nn.Conv2d(channels, _TOP, 1)
        self.top_depthwise = _depthwise(_TOP)
        self.pyramid = nn.ModuleList(_Separable(num, _PYRAMID) for num in (_TOP, *taps[:0:-1]))
        self.heatmap = nn.Conv2d(_PYRAMID, _NUM_POINTS, 1)
        self._add_mask(taps[0])
        self._add_regression(taps)

    def _add_mask(self, tap: int) -> None:
        """Layers from stride 4 to the silhouette in full size."""
        self.mask_in = _Separable(_PYRAMID, _SEGMENT)
        self.mask_skip = _Separable(tap, _SEGMENT)
        self.mask_half = nn.Sequential(_Residual(_SEGMENT), _Residual(_SEGMENT))
        self.mask_full = nn.Sequential(_Residual(_SEGMENT), _Residual(_SEGMENT))
        self.mask_out = nn.Conv2d(_SEGMENT, 1, 3, padding=1)
        self.outline = nn.Conv2d(_SEGMENT, 1, 3, padding=1)

    def _add_regression(self, taps: list[int]) -> None:
        """Layers from the pyramid down to 2 x 2; the backbone's features join at every stride."""
        inputs = (_PYRAMID, *(channels for channels, _ in _ENCODER))
        self.encoder = nn.ModuleList(
            _stack(num_in, num_out, repeats)
            for num_in, (num_out, repeats) in zip(inputs[:-1], _ENCODER, strict=True)
        )
        self.encoder_skip = nn.ModuleList(
            _Separable(tap, num_out)
            for tap, (num_out, _) in zip((*taps[2:], _TOP), _ENCODER, strict=True)
        )
        self.tail = nn.Sequential(*(_stack(_TAIL, _TAIL, repeats) for repeats in _TAIL_BLOCKS))
        self.landmarks = nn.Conv2d(_TAIL, _NUM_POINTS * 5, 2)
        self.presence = nn.Conv2d(_TAIL, 1, 2)

    def forward(self, images: Float[Tensor, "B 3 256 256"]) -> dict[str, Tensor]:
        """What the network says, float32.

        Args:
            images: (B, 3, 256, 256) RGB in 0..1.

        Returns:
            `landmarks` (B, 33, 5): x, y and z in px of the input (z: depth from the hips, smaller
            is nearer), logits of visibility and of presence; `heatmap` (B, 33, 64, 64) logits;
            `presence` (B,) logit of there being a person; with the mask also `mask`
            (B, 256, 256), logits of the silhouette, and with the outline `outline`
            (B, 128, 128), the same in half the size.
        """
        x = images.to(self.stem.weight.dtype)
        x = functional.relu6(self.stem_depthwise(functional.relu6(self.stem(x))))
        x, taps = self.stem_project(x), []
        for block in self.blocks:
            if block.stride == 2:
                taps.append(x)
            x = block(x)
        top = functional.relu6(self.top_depthwise(functional.relu6(self.top_expand(x))))
        finest = self.pyramid[0](top)
        for level, tap in zip(self.pyramid[1:], taps[:0:-1], strict=True):
            finest = _doubled(finest) + level(tap)
        x = finest
        for stack, skip, tap in zip(self.encoder, self.encoder_skip, (*taps[2:], top), strict=True):
            x = stack(x) + skip(tap)
        x = self.tail(x)
        points = self.landmarks(x).float().reshape(-1, _NUM_POINTS, 5)
        found = {
            "landmarks": points[:, :NUM_LANDMARKS],
            "heatmap": self.heatmap(finest)[:, :NUM_LANDMARKS].float(),
            "presence": self.presence(x).float().flatten(),
        }
        return found | self._silhouettes(finest, taps[0])

    @staticmethod
    def example_input() -> Float[Tensor, "1 3 256 256"]:
        """One picture as the network reads it."""
        size = BLAZEPOSE_SIZE
        return torch.linspace(0, 97, 3 * size * size).remainder(1).view(1, 3, size, size)

    def _silhouettes(self, finest: Tensor, tap: Tensor) -> dict[str, Tensor]:
        if not (self.with_mask or self.with_outline):
            return {}
        half = self.mask_half(_doubled(self.mask_in(finest)) + self.mask_skip(tap))
        found = {}
        if self.with_mask:
            found["mask"] = self.mask_out(self.mask_full(_doubled(half)))[:, 0].float()
        if self.with_outline:
            found["outline"] = self.outline(half)[:, 0].float()
        return found


def load_blazepose(
    path: str | Path = BLAZEPOSE_PATH,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    with_mask: bool = False,
    with_outline: bool = False,
) -> BlazePose:
    """The network of a folder of BlazePose's weights, ready for inference.

    Args:
        path: BLAZEPOSE_PATH, or a folder of the same layout.
        device: where the network will run.
        dtype: float32, or float16 on a GPU.
        with_mask: whether it is to compute the silhouette.
        with_outline: whether it is to compute that of half the size.

    Raises:
        FileNotFoundError: there is no such folder, or a part of it is missing.
        WeightsError: it holds other weights, or not all.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f"BlazePose weights not found: {path}. They are bundled in model/assets/blazepose; "
            "reinstall the package or give the path of that folder."
        )
    kind = "a folder of BlazePose's weights"
    try:
        tensors, _ = read_parts(path)
    except WeightsError as error:
        raise WeightsError(f"{path} is not {kind}: {error}") from error
    return filled_network(
        lambda: BlazePose(with_mask, with_outline), tensors, path, kind, device, dtype
    )


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _depthwise(channels: int, kernel: int = 3, stride: int = 1, padded: bool = True) -> nn.Conv2d:
    padding = kernel // 2 if padded else 0
    return nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels)


def _stack(num_in: int, num_out: int, repeats: int) -> nn.Sequential:
    """Half the size, then residual blocks."""
    blocks = (_Residual(num_out) for _ in range(repeats))
    return nn.Sequential(_HalvingResidual(num_in, num_out), *blocks)


class _InvertedResidual(nn.Module):
    """1 x 1 expansion, depthwise, 1 x 1 projection; stride 2 with the same zeros on all sides."""

    def __init__(self, num_in: int, inside: int, kernel: int, stride: int, num_out: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(num_in, inside, 1)
        self.depthwise = _depthwise(inside, kernel, stride)
        self.project = nn.Conv2d(inside, num_out, 1)
        self.stride = stride
        self.adds = stride == 1 and num_in == num_out

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.depthwise(functional.relu6(self.expand(x))))
        y = self.project(y)
        return x + y if self.adds else y


class _Separable(nn.Module):
    """3 x 3 depthwise, 1 x 1 pointwise, each with ReLU6."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.depthwise = _depthwise(num_in)
        self.pointwise = nn.Conv2d(num_in, num_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(self.pointwise(functional.relu6(self.depthwise(x))))


class _Residual(nn.Module):
    """The input plus its separable convolution, ReLU6."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = _depthwise(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(functional.relu6(self.depthwise(x)))
        return functional.relu6(x + y)


class _HalvingResidual(nn.Module):
    """As `_Residual` at half the size: the input's 2 x 2 maxima, new channels of it zero."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.depthwise = _depthwise(num_in, stride=2, padded=False)
        self.pointwise = nn.Conv2d(num_in, num_out, 1)
        self.num_new = num_out - num_in

    def forward(self, x: Tensor) -> Tensor:
        # TensorFlow's "same" padding of a stride of 2: right and bottom only.
        y = functional.relu6(self.depthwise(functional.pad(x, (0, 1, 0, 1))))
        kept = functional.pad(functional.max_pool2d(x, 2), (0, 0, 0, 0, 0, self.num_new))
        return functional.relu6(kept + self.pointwise(y))
