"""Mask R-CNN (ResNet-50 FPN, COCO) of torchvision, from a file or torchvision's own download."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN, MaskRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from hierprob3d.model.files.weight_files import misfit, read_torch_checkpoint

_PUBLISHED = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
_NUM_CLASSES = 91
_HOW_TO_GET_WEIGHTS = (
    f"Download {_PUBLISHED.url} and pass the file with --detector-weights, "
    "or use --detector movenet, whose weights are bundled."
)


def load_mask_rcnn(
    path: str | Path | None, device: str | torch.device = "cpu", min_score: float = 0.05
) -> MaskRCNN:
    """The published network without its mask head, ready for inference.

    Args:
        path: the published state dict, a .pth file; None: torchvision's own copy, downloaded
            into its cache at first use.
        device: where the network runs.
        min_score: only boxes that score above it are returned.

    Raises:
        FileNotFoundError: there is no such file, or the download failed.
        ValueError: the file does not hold this network, or not all of it.
    """
    network = build_mask_rcnn(min_score)
    state = _downloaded_state() if path is None else _stored_state(Path(path))
    try:  # torchvision takes the older names of the published file for its own
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        problem = misfit(network.state_dict(), state)
        raise ValueError(
            f"{path} does not hold torchvision's maskrcnn_resnet50_fpn: {problem}."
        ) from error
    # Boxes do not depend on the masks, which take a good part of the time.
    heads = network.roi_heads
    heads.mask_roi_pool = heads.mask_head = heads.mask_predictor = None
    return network.eval().requires_grad_(False).to(device)


def downloaded_path() -> Path:
    """Where torchvision keeps its own copy of the weights, once it is downloaded."""
    return Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(_PUBLISHED.url).name)


def build_mask_rcnn(min_score: float) -> MaskRCNN:
    """The network as torchvision builds it around its published COCO weights."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    network = MaskRCNN(backbone, _NUM_CLASSES, box_score_thresh=min_score)
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0  # these weights were trained without the later 1e-5
    return network


def _stored_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"Mask R-CNN weights not found: {path}. {_HOW_TO_GET_WEIGHTS}")
    return read_torch_checkpoint(path)


def _downloaded_state() -> dict[str, Tensor]:
    try:
        return _PUBLISHED.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"Mask R-CNN weights could not be downloaded ({error}). {_HOW_TO_GET_WEIGHTS}"
        ) from error
