"""HRNet-W48: heatmaps of the 17 COCO keypoints on a person's 384 x 288 crop.

Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019.
Module names follow the published checkpoints (`pose_hrnet_w48_384x288.pth`), so they load as is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from hierprob3d.model.files.weight_files import (
    WeightsError,
    misfit,
    read_torch_checkpoint,
    some_of,
)

INPUT_SIZE = (288, 384)
"""Width and height of the network's input, px."""

HEATMAP_STRIDE = 4
"""Input pixels per heatmap pixel: the published decoder stays on this grid."""

NUM_KEYPOINTS = 17
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_COUNTS = ".num_batches_tracked"
_BLOCKS_PER_BRANCH = 4
_STEM_CHANNELS = 64
_LAYER1_CHANNELS = 256

_logger = logging.getLogger(__name__)


class _Stage(NamedTuple):
    """One row of the network's table."""

    num_modules: int
    channels: tuple[int, ...]
    """Channels of each branch; branch b runs at 1 / 2**b of the heatmap resolution."""


_STAGES_W48 = {
    "stage2": _Stage(1, (48, 96)),
    "stage3": _Stage(4, (48, 96, 192)),
    "stage4": _Stage(3, (48, 96, 192, 384)),
}


class HRNet(nn.Module):
    """HRNet-W48 for 17 COCO keypoints; `load_hrnet` gives a trained one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.conv2 = nn.Conv2d(_STEM_CHANNELS, _STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _bottlenecks()
        channels: tuple[int, ...] = (_LAYER1_CHANNELS,)
        for index, (name, stage) in enumerate(_STAGES_W48.items(), start=1):
            self.add_module(f"transition{index}", _transition(channels, stage.channels))
            self.add_module(name, _stage_modules(stage, multi_scale=name != "stage4"))
            channels = stage.channels
        self.final_layer = nn.Conv2d(channels[0], NUM_KEYPOINTS, kernel_size=1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 17 _ _"]:
        """Keypoint heatmaps (B, 17, 96, 72), about 0..1.

        Args:
            images: (B, 3, 384, 288) RGB crops, normalised by ImageNet's mean and deviation.
        """
        stem = self.relu(self.bn1(self.conv1(images)))
        stem = self.relu(self.bn2(self.conv2(stem)))
        branches = [self.layer1(stem)]
        for index, name in enumerate(_STAGES_W48, start=1):
            transition = self.get_submodule(f"transition{index}")
            branches = self.get_submodule(name)(_enter(transition, branches))
        return self.final_layer(branches[0])

    @staticmethod
    def example_input() -> Float[Tensor, "1 3 H W"]:
        """One picture as the network reads it, small."""
        return torch.linspace(-2, 2, 3 * 64 * 64).view(1, 3, 64, 64)


class _HighResolutionModule(nn.Module):
    """Parallel branches followed by an exchange: each output sums all branches, resampled.

    Args:
        channels: Channels per branch, finest first.
        num_outputs: Outputs computed, from the finest.
    """

    def __init__(self, channels: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(_BLOCKS_PER_BRANCH)))
            for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resampling(channels, source, target) for source in range(len(channels)))
            for target in range(num_outputs)
        )
        self.relu = nn.ReLU()

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        branches = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [self.relu(_fused(row, branches)) for row in self.fuse_layers]


def load_hrnet(path: str | Path, device: str | torch.device = "cpu") -> HRNet:
    """HRNet-W48 with the weights of `path`, in evaluation mode.

    As in the paper's code, a file may lack the counts of batches, which training alone uses and
    which files of 2018 do not have, and may hold more than the network needs, which is told.

    Args:
        path: The published `pose_hrnet_w48_384x288.pth`: a plain state dict.
        device: Where the network goes.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: The file is no checkpoint, or weights are missing or of another shape.
    """
    weights = _read_state_dict(Path(path))
    # On "meta" nothing is drawn or allocated: the tensors of the file become the parameters.
    with torch.device("meta"):
        net = HRNet()
    expected = net.state_dict()
    needed = {name: value for name, value in expected.items() if not name.endswith(_COUNTS)}
    known = {name: weights[name] for name in needed if name in weights}
    if misfit(needed, known):
        raise WeightsError(
            f"{path} does not hold HRNet-W48 weights (384x288, 17 COCO): "
            f"{misfit(expected, weights)}."
        )
    unknown = [str(name) for name in weights if name not in expected]
    if unknown:
        _logger.warning("%s: what HRNet-W48 has not is left out: %s", path, some_of(unknown))
    state = {
        name: known[name].float() if name in known else torch.zeros_like(value, device="cpu")
        for name, value in expected.items()
    }
    net.load_state_dict(state, strict=True, assign=True)
    # Channels last is 1.1 to 1.5 times faster on one CPU thread and changes heatmaps by 2e-5.
    return net.eval().to(device).to(memory_format=torch.channels_last)


def normalise(rgb: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Crops as the network wants them: ImageNet's mean removed, divided by its deviation.

    Args:
        rgb: (B, 3, H, W) float RGB 0..1.
    """
    mean = rgb.new_tensor(IMAGENET_MEAN)[:, None, None]
    std = rgb.new_tensor(IMAGENET_STD)[:, None, None]
    return (rgb - mean) / std


def decode_heatmaps(
    heatmaps: Float[Tensor, "B K H W"],
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Position and value of each heatmap's maximum, as the published code: no sub-pixel step.

    Args:
        heatmaps: (B, K, H, W).

    Returns:
        keypoints (B, K, 2) float x, y on the heatmap's grid, (0, 0) where nothing is positive;
        confidences (B, K). The first of equal maxima in row order wins.
    """
    confidences, positions = heatmaps.flatten(-2).max(dim=-1)
    width = heatmaps.shape[-1]
    keypoints = torch.stack((positions % width, positions // width), dim=-1).float()
    return keypoints * (confidences > 0)[..., None], confidences


@torch.no_grad()
def estimate_keypoints(
    net: nn.Module, rgb: Float[Tensor, "B 3 384 288"]
) -> tuple[Float[Tensor, "B 17 2"], Float[Tensor, "B 17"]]:
    """Keypoints of persons' crops in pixels of the crop.

    Args:
        net: A loaded HRNet.
        rgb: (B, 3, 384, 288) float RGB 0..1, on the network's device.

    Returns:
        keypoints (B, 17, 2) x, y px of the 384 x 288 crop, multiples of 4; confidences (B, 17),
        which may exceed 1.
    """
    keypoints, confidences = decode_heatmaps(net(normalise(rgb)))
    return keypoints * HEATMAP_STRIDE, confidences


def _conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int, *, relu: bool
) -> list[nn.Module]:
    """Convolution and batch normalisation, then a rectifier if asked."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs)]
    return [*layers, nn.ReLU(inplace=True)] if relu else layers


def _bottlenecks() -> nn.Sequential:
    """Four bottleneck blocks; the first widens 64 channels to 256."""
    widen = nn.Sequential(*_conv_norm(_STEM_CHANNELS, _LAYER1_CHANNELS, 1, 1, relu=False))
    first = Bottleneck(_STEM_CHANNELS, _STEM_CHANNELS, downsample=widen)
    return nn.Sequential(first, *(Bottleneck(_LAYER1_CHANNELS, _STEM_CHANNELS) for _ in range(3)))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """One layer per branch of the next stage: kept, adapted, or the new coarsest branch."""
    kept: list[nn.Module] = [
        nn.Identity()
        if old == new
        else nn.Sequential(*_conv_norm(old, new, kernel=3, stride=1, relu=True))
        for old, new in zip(before, after, strict=False)
    ]
    halved = nn.Sequential(*_conv_norm(before[-1], after[-1], kernel=3, stride=2, relu=True))
    return nn.ModuleList([*kept, nn.Sequential(halved)])


def _enter(transition: nn.Module, branches: list[Tensor]) -> list[Tensor]:
    """Inputs of the next stage: the new coarsest branch grows from the coarsest so far."""
    assert isinstance(transition, nn.ModuleList)
    sources = [*branches, branches[-1]]
    return [layer(source) for layer, source in zip(transition, sources, strict=True)]


def _stage_modules(stage: _Stage, *, multi_scale: bool) -> nn.Sequential:
    """Modules of a stage; without `multi_scale` its last one gives the finest branch only."""
    outputs = [len(stage.channels)] * stage.num_modules
    if not multi_scale:
        outputs[-1] = 1
    return nn.Sequential(*(_HighResolutionModule(stage.channels, count) for count in outputs))


def _resampling(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Layer that brings branch `source` to the channels and resolution of branch `target`."""
    if source == target:
        return nn.Identity()
    wide, narrow = channels[source], channels[target]
    if source > target:
        convolution = _conv_norm(wide, narrow, kernel=1, stride=1, relu=False)
        return nn.Sequential(*convolution, nn.Upsample(scale_factor=2 ** (source - target)))
    steps = target - source
    halvings = [_conv_norm(wide, wide, kernel=3, stride=2, relu=True) for _ in range(steps - 1)]
    last = _conv_norm(wide, narrow, kernel=3, stride=2, relu=False)
    return nn.Sequential(*(nn.Sequential(*layers) for layers in [*halvings, last]))


def _fused(row: nn.Module, branches: list[Tensor]) -> Tensor:
    """Sum of all branches after the resampling layers of one output, finest branch first."""
    assert isinstance(row, nn.ModuleList)
    total = row[0](branches[0])
    for layer, branch in zip(row[1:], branches[1:], strict=True):
        total = total + layer(branch)
    return total


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint, read without running any code in it."""
    if not path.is_file():
        raise FileNotFoundError(f"HRNet weights not found: {path}.")
    return read_torch_checkpoint(path)
