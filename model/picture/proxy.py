"""The network's input: edges and keypoint heatmaps of one person's crop, instead of colours.

The way of the paper's prediction, kept for every detector and keypoint model because the network
was trained on pictures of this kind:

1. `person_crops`: a person's box, made 3:4 and enlarged by 1.2, is cut out at 288 x 384;
2. keypoints are found there (or anywhere else) and given in pixels of the full picture;
3. `network_crops`: the 288 x 384 crop becomes 256 x 256 between black bars (columns 0..31 and
   224..255), so the edge channel sees the border of the content;
4. `make_proxy`: edges and heatmaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from hierprob3d.configs.proxy_look import ProxyLook
from hierprob3d.model.body.skeleton import ALWAYS_VISIBLE, NUM_KEYPOINTS

from .canny import CannyEdgeDetector
from .crops import BOX_SCALE_FACTOR, CropFrames, crop_torch
from .heatmaps import Rounding, gaussian_profiles

PERSON_CROP_SIZE = (288, 384)
"""Width and height of the crop in which HRNet looks for keypoints, px."""

PROXY_SIZE = 256
"""Side of the network's input, px."""

HEATMAP_STD = ProxyLook().heatmap_std
"""Standard deviation of the proxy's heatmaps, px of the 256 px crop."""

PAPER_VISIBILITY_THRESHOLD = 0.75
"""HRNet confidence above which the paper's prediction keeps a keypoint."""

LIMB_PARTS = {
    7: (19, 21), 8: (20, 22), 9: (4,), 10: (3,), 13: (12, 14), 14: (11, 13), 15: (5,), 16: (6,),
}  # fmt: skip
"""Limb keypoint -> DensePose part labels (1..24) around it; the others are never occluded."""

_NUM_PART_LABELS = 25
_REGION_MARGIN = 2
"""Pixels filled in around the frames, so that bilinear sampling never meets an unfilled one."""


@dataclass(frozen=True)
class PersonCrops:
    """The persons of one picture, cut out at 288 x 384."""

    rgb: Tensor
    """(P, 3, 384, 288) float RGB 0..1, black beyond the picture."""

    frames: CropFrames
    """Where the crops lie; `points_to_image` and `points_to_crop` convert keypoints."""

    @property
    def crop_records(self) -> Float[Tensor, "P 3"]:
        """(P, 3) centre x, centre y, side of the 256 px crop's square, px of the picture."""
        return torch.cat((self.frames.centres, self.frames.sizes[:, 1:]), dim=-1)


@dataclass(frozen=True)
class NetworkCrops:
    """The persons of one picture as the network's input is made of."""

    rgb: Tensor
    """(P, 3, 256, 256) float RGB 0..1."""

    joints2d: Tensor
    """(P, 17, 2) float32 x, y, px of the 256 px crop."""

    visible: Tensor
    """(P, 17) bool, keypoints that enter the proxy."""

    crop_records: Tensor
    """(P, 3) centre x, centre y, side of the crop, px of the picture."""

    def proxy(
        self, edge_detector: CannyEdgeDetector | None = None
    ) -> Float[Tensor, "P 18 256 256"]:
        """(P, 18, 256, 256) network input, see `make_proxy`."""
        return make_proxy(self.rgb, self.joints2d, self.visible, edge_detector)


def person_crops(
    image: np.ndarray,
    boxes: np.ndarray | None = None,
    scale_factor: float = BOX_SCALE_FACTOR,
    device: str | torch.device = "cpu",
) -> PersonCrops:
    """Every person of a picture, cut out for HRNet.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (P, 4) x0, y0, x1, y1, px; None for a picture that is already cropped: one person,
            whose box is the whole picture (and is enlarged all the same, as in the paper's code).
        scale_factor: Enlargement of the 3:4 box.
        device: Where the crops are made and stay.

    Raises:
        ValueError: There is no box, or one has no area or is not finite.
    """
    height, width = image.shape[:2]
    corners = np.array([[0, 0, width, height]]) if boxes is None else np.asarray(boxes)
    frames = person_frames(corners, scale_factor, device)
    rgb = torch.from_numpy(_float_picture(image, frames)).to(device)
    return PersonCrops(crop_torch(rgb.permute(2, 0, 1)[None], frames), frames)


def person_frames(
    boxes: np.ndarray,
    scale_factor: float = BOX_SCALE_FACTOR,
    device: str | torch.device = "cpu",
) -> CropFrames:
    """Where the crops of people with boxes (P, 4) lie; arguments and errors as above."""
    _check_boxes(boxes)
    corners = torch.as_tensor(boxes, dtype=torch.float32, device=device)
    return CropFrames.around(corners, PERSON_CROP_SIZE, scale_factor)


def network_crops(
    people: PersonCrops,
    keypoints: np.ndarray | Float[Tensor, "P 17 3"],
    threshold: float = PAPER_VISIBILITY_THRESHOLD,
    always_visible: Sequence[int] = ALWAYS_VISIBLE,
) -> NetworkCrops:
    """Persons' crops at the network's size, with their keypoints in it.

    Args:
        people: P persons of a picture.
        keypoints: (P, 17, 3) x, y, px of the full picture, and confidence.
        threshold: Confidence that a keypoint must exceed; it belongs to the keypoint model.
        always_visible: Keypoints kept whatever their confidence.
    """
    given = torch.as_tensor(keypoints, device=people.rgb.device)
    squares = _square_frames(people)
    joints_288 = people.frames.points_to_crop(given[..., :2].double())
    return NetworkCrops(
        rgb=crop_torch(people.rgb, squares),
        joints2d=squares.points_to_crop(joints_288).float(),
        visible=visible_mask(given[..., 2], threshold, always_visible),
        crop_records=people.crop_records,
    )


def visible_mask(
    confidences: Float[Tensor, "*batch 17"],
    threshold: float,
    always_visible: Sequence[int] = ALWAYS_VISIBLE,
) -> Bool[Tensor, "*batch 17"]:
    """Which keypoints enter the proxy: confident ones, and those that are never dropped.

    Args:
        confidences: (..., 17) of the keypoint model; NaN counts as not confident.
        threshold: Confidence that must be exceeded; it belongs to the keypoint model.
        always_visible: Keypoint indices kept whatever their confidence.

    Returns:
        (..., 17) bool.
    """
    visible = confidences > threshold
    visible[..., list(always_visible)] = True
    return visible


def unoccluded_mask(
    part_labels: Integer[Tensor, "B H W"], visible: Bool[Tensor, "B 17"], min_pixels: int = 50
) -> Bool[Tensor, "B 17"]:
    """Which visible keypoints are not hidden behind the body itself, by the paper's training rule.

    A limb's keypoint stays if more than `min_pixels` of the parts around it are to be seen.

    Args:
        part_labels: (B, H, W) integer rendering of DensePose's parts 1..24, 0 elsewhere.
        visible: (B, 17) bool, e.g. those inside the picture; it is not changed.
        min_pixels: Pixels that must be exceeded, for a 256 px picture.

    Returns:
        (B, 17) bool.
    """
    labels = part_labels.flatten(1).long()
    counts = labels.new_zeros((labels.shape[0], _NUM_PART_LABELS))
    counts.scatter_add_(1, labels, torch.ones_like(labels))
    unoccluded = visible.clone()
    for keypoint, parts in LIMB_PARTS.items():
        unoccluded[:, keypoint] &= counts[:, list(parts)].sum(dim=1) > min_pixels
    return unoccluded


def paper_edge_detector() -> CannyEdgeDetector:
    """Edge detector of the published weights: blur 1 px over 5 taps, thinned, no threshold."""
    return edge_detector_of(ProxyLook())


def edge_detector_of(settings: ProxyLook) -> CannyEdgeDetector:
    """Edge detector of other settings."""
    return CannyEdgeDetector(
        non_max_suppression=settings.edge_nms,
        gaussian_filter_std=settings.edge_gaussian_std,
        gaussian_filter_size=settings.edge_gaussian_size,
        threshold=settings.edge_threshold,
    )


@torch.no_grad()
def make_proxy(
    rgb: Float[Tensor, "B 3 S S"],
    joints2d: Float[Tensor, "B 17 2"],
    visible: Bool[Tensor, "B 17"],
    edge_detector: CannyEdgeDetector | None = None,
    heatmap_std: float = HEATMAP_STD,
    rounding: Rounding = "none",
) -> Float[Tensor, "B 18 S S"]:
    """Proxy representation: channel 0 the edges, channels 1..17 the keypoint heatmaps.

    Args:
        rgb: (B, 3, S, S) float RGB 0..1, crops around the persons; the paper's S is 256.
        joints2d: (B, 17, 2) x, y in pixels of the crop.
        visible: (B, 17) bool; the others' heatmaps are zero.
        edge_detector: Source of the edge channel; default `paper_edge_detector()`.
        heatmap_std: Standard deviation of the heatmaps, px of the crop.
        rounding: How the heatmaps' centres are snapped to pixels.

    Returns:
        (B, 18, S, S) float32, without gradient.
    """
    detector = edge_detector if edge_detector is not None else paper_edge_detector()
    batch, _, height, width = rgb.shape
    rows, columns = gaussian_profiles(joints2d.float(), width, heatmap_std, rounding, visible)
    # Written in place: concatenating would copy the 17 heatmaps, the larger part of the time.
    proxy = rgb.new_empty((batch, 1 + NUM_KEYPOINTS, height, width), dtype=torch.float32)
    proxy[:, :1] = detector.edges(rgb)
    torch.mul(rows, columns, out=proxy[:, 1:])
    return proxy


def _check_boxes(boxes: np.ndarray) -> None:
    if len(boxes) == 0:
        raise ValueError("person_crops needs at least one box; skip pictures without persons.")
    extents = boxes[:, 2:] - boxes[:, :2]
    bad = ~(np.isfinite(boxes).all(axis=1) & (extents > 0).all(axis=1))
    if bad.any():
        raise ValueError(f"Person box without area: {boxes[bad][0].tolist()} (x0, y0, x1, y1).")


def _float_picture(image: np.ndarray, frames: CropFrames) -> np.ndarray:
    """The (H, W, 3) picture as float32 0..1, filled in only where the frames see it.

    Coordinates stay those of the whole picture, so that a person's crop does not depend on the
    others, bit by bit; memory that is never touched costs nothing, so big photographs stay cheap.
    """
    low = (frames.centres - frames.sizes / 2).amin(dim=0).floor().int() - _REGION_MARGIN
    high = (frames.centres + frames.sizes / 2).amax(dim=0).ceil().int() + _REGION_MARGIN
    (left, top), (right, bottom) = low.clamp(min=0).tolist(), high.clamp(min=0).tolist()
    picture = np.zeros(image.shape, dtype=np.float32)
    seen = np.s_[top:bottom, left:right]
    np.divide(image[seen], np.float32(255.0), out=picture[seen])
    return picture


def _square_frames(people: PersonCrops) -> CropFrames:
    """The square as high as the 288 x 384 crop, about its centre, for the 256 px crop."""
    width, height = PERSON_CROP_SIZE
    like = people.frames.sizes.new_ones((people.rgb.shape[0], 2))
    centre = like.new_tensor([width / 2, height / 2])
    return CropFrames(like * centre, like * height, (PROXY_SIZE, PROXY_SIZE))
