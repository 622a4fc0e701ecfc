"""People and keypoints out of MoveNet's head maps.

Follows the published graphs, odd rules included (each is named where it stands). Cells count
row then column; what is returned is x then y in pixels of the network's input. Constants with
many digits are the graphs' float16 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from hierprob3d.model.body.skeleton import COCO_FLIP, NUM_KEYPOINTS

from .movenet import STRIDE

_PEAK_TOLERANCE = 1.0132789611816406e-06
_PRIOR_SPREAD = 0.300048828125  # twice the prior's variance, cells squared per cell of side
_SCORED_KEYPOINT = 0.126953125  # keypoints below do not count in a person's score
_DISTANCE_FLOOR = 1.7998046875  # cells
_AGREEMENT_STD = 0.1  # of the map's height
_MIN_PRIOR_WEIGHT = 0.05


@dataclass(frozen=True)
class PeopleMaps:
    """K candidates per picture, in order of their centre's peak; px of the network's input.

    Attributes:
        boxes: (B, K, 4) x0 y0 x1 y1.
        scores: (B, K) person score 0..1.
        keypoints: (B, K, 17, 3) x, y, score 0..1.
    """

    boxes: Tensor
    scores: Tensor
    keypoints: Tensor


def decode_people(maps: dict[str, Tensor], num_people: int) -> PeopleMaps:
    """The `num_people` strongest candidates of multipose's maps; most have a score near 0."""
    center = maps["center"].sigmoid()
    height, width = center.shape[-2:]
    peaks, cells = _center_peaks(center, num_people)
    rows_cols = _rows_cols(cells, width).float()
    low, high = _decode_boxes(maps, cells, rows_cols)
    regressed = _at_cells(maps["kpt_regress"], cells).unflatten(-1, (NUM_KEYPOINTS, 2))
    prior_rows, prior_cols = _keypoint_priors(
        regressed + rows_cols[:, :, None], low, high, (height, width)
    )
    heat = maps["kpt_heatmap"].sigmoid()
    weighted = heat[:, None] * prior_rows[..., :, None] * prior_cols[..., None, :]
    best = weighted.flatten(3).argmax(3)
    scores = _keypoint_scores(heat, prior_rows, prior_cols, best)
    counted = (scores > _SCORED_KEYPOINT).float()
    person_scores = peaks * (scores * counted).sum(-1) / counted.sum(-1).clamp(min=1)
    points = _refined_points(maps["kpt_offset"], best, width)
    return PeopleMaps(
        boxes=torch.cat((low.flip(-1), high.flip(-1)), -1) * STRIDE,
        scores=person_scores,
        keypoints=torch.cat((points, scores[..., None]), -1),
    )


def decode_person(
    maps: dict[str, Tensor], prior: Float[Tensor, "B 17 3"]
) -> Float[Tensor, "B 17 3"]:
    """The 17 keypoints of the person of each crop that fits a rough pose best.

    Args:
        maps: thunder's head maps of B crops.
        prior: (B, 17, 3) rough x, y (input px), score. Crops whose prior is not finite use the
            published rule: the person nearest to the crop's centre.

    Returns:
        (B, 17, 3) x, y in input px, score 0..1 (the raw heat).
    """
    heat = maps["kpt_heatmap"].sigmoid()
    height, width = heat.shape[-2:]
    agreement = pose_agreement_map(maps["kpt_regress"], prior)
    given = torch.isfinite(prior).flatten(1).all(1)[:, None, None]
    weight = torch.where(given, agreement, _center_weight(height, width, heat.device))
    cell = (maps["center"].sigmoid()[:, 0] * weight).flatten(1).argmax(1, keepdim=True)
    regressed = _at_cells(maps["kpt_regress"], cell).unflatten(-1, (NUM_KEYPOINTS, 2))[:, 0]
    expected = regressed + _rows_cols(cell, width)
    rows, cols = _grid(height, width, heat.device)
    distance = torch.hypot(rows - _to_map(expected[..., 0]), cols - _to_map(expected[..., 1]))
    best = (heat / (distance + _DISTANCE_FLOOR)).flatten(2).argmax(2)
    points = _refined_points(maps["kpt_offset"], best[:, None], width)[:, 0]
    return torch.cat((points, heat.flatten(2).gather(2, best[..., None])), -1)


def average_with_mirrored(
    maps: dict[str, Tensor], mirrored: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Mean of thunder's maps of crops and of the same crops mirrored left to right."""
    return {name: (maps[name] + _unmirror(name, mirrored[name])) / 2 for name in maps}


def pose_agreement_map(
    regressed: Float[Tensor, "B 34 H W"], prior: Float[Tensor, "B 17 3"]
) -> Float[Tensor, "B H W"]:
    """(B, H, W) 0..1: how well the pose that each cell regresses fits a rough pose.

    Args:
        regressed: (B, 34, H, W) offsets from each cell to its keypoints, cells.
        prior: (B, 17, 3) x, y in input px, score.
    """
    height, width = regressed.shape[-2:]
    offsets = regressed.unflatten(1, (NUM_KEYPOINTS, 2))
    rows, cols = _grid(height, width, regressed.device)
    expected = prior[..., :2] / STRIDE
    squared = (offsets[:, :, 0] + rows - _to_map(expected[..., 1])) ** 2
    squared = squared + (offsets[:, :, 1] + cols - _to_map(expected[..., 0])) ** 2
    weight = _to_map(prior[..., 2].clamp(min=_MIN_PRIOR_WEIGHT))
    fit = torch.exp(-squared / (2 * (_AGREEMENT_STD * height) ** 2))
    return (fit * weight).sum(1) / weight.sum(1)


def pose_agreement(
    keypoints: Float[Tensor, "P 17 3"], prior: Float[Tensor, "P 17 3"], side: Float[Tensor, " P"]
) -> Float[Tensor, " P"]:
    """(P,) 0..1: how near a pose is to a rough one, in the measure of `pose_agreement_map`.

    Args:
        keypoints: (P, 17, 3) x, y px, score.
        prior: (P, 17, 3) rough pose of the same people, whose scores are the weights.
        side: (P,) side of the people's crops, px.
    """
    squared = ((keypoints - prior)[..., :2] ** 2).sum(-1)
    weight = prior[..., 2].clamp(min=_MIN_PRIOR_WEIGHT)
    fit = torch.exp(-squared / (2 * (_AGREEMENT_STD * side[:, None]) ** 2))
    return (fit * weight).sum(-1) / weight.sum(-1)


def _center_peaks(center: Tensor, num_people: int) -> tuple[Tensor, Tensor]:
    """Values (B, K) and flat cells (B, K) of the highest 5 x 5 maxima of a (B, 1, H, W) map."""
    is_peak = (center - functional.max_pool2d(center, 5, 1, 2)).abs() < _PEAK_TOLERANCE
    values, cells = (center * is_peak).flatten(1).topk(num_people, 1)
    return values, cells


def _decode_boxes(
    maps: dict[str, Tensor], cells: Tensor, rows_cols: Tensor
) -> tuple[Tensor, Tensor]:
    """Low and high corners (B, K, 2) of the candidates' boxes, rows and columns, in cells."""
    half = _at_cells(maps["box_scale"], cells).clamp(min=0) * 0.5
    middle = rows_cols + _at_cells(maps["box_offset"], cells)
    limit = middle.new_tensor(maps["center"].shape[-2:])
    return (middle - half).minimum(limit).clamp(min=0), (middle + half).minimum(limit).clamp(min=0)


def _keypoint_priors(
    expected: Tensor, low: Tensor, high: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Row and column factors, (B, K, 17, H) and (B, K, 17, W), of each keypoint's prior.

    The prior is a Gaussian about the regressed keypoint, zero outside the person's box.
    """
    spread = min(size) * _PRIOR_SPREAD
    factors = []
    for axis, length in enumerate(size):
        cells = torch.arange(length, device=expected.device, dtype=expected.dtype)
        gaussian = torch.exp(-((cells - expected[..., axis, None]) ** 2) / spread)
        inside = (cells >= low[..., axis, None]) & (cells < high[..., axis, None])
        factors.append(gaussian * inside[:, :, None])
    return factors[0], factors[1]


def _keypoint_scores(heat: Tensor, prior_rows: Tensor, prior_cols: Tensor, best: Tensor) -> Tensor:
    """Heat x prior (B, K, 17) at each candidate's cells `best` (B, K, 17).

    As in the published graph the prior is the largest one that *any* candidate of the picture has
    there, so a keypoint that several people claim keeps its score.
    """
    num_people = best.shape[1]
    at = best.transpose(1, 2)  # (B, 17, K)
    raw = heat.flatten(2).gather(2, at)
    queries = at[:, None].expand(-1, num_people, -1, -1)  # (B, K owners, 17, K)
    width = heat.shape[-1]
    rows, cols = _rows_cols(queries, width).unbind(-1)
    prior = prior_rows.gather(3, rows) * prior_cols.gather(3, cols)
    return (raw * prior.amax(1)).transpose(1, 2)


def _refined_points(offsets: Tensor, cells: Tensor, width: int) -> Tensor:
    """x, y (B, K, 17, 2) in input px of keypoints at `cells` (B, K, 17) plus sub-cell offset."""
    at = cells.transpose(1, 2)[:, :, None].expand(-1, -1, 2, -1)  # (B, 17, 2, K)
    offset = offsets.flatten(2).unflatten(1, (NUM_KEYPOINTS, 2)).gather(3, at)
    rows_cols = _rows_cols(cells, width) + offset.permute(0, 3, 1, 2)
    return rows_cols.flip(-1) * STRIDE


def _at_cells(values: Tensor, cells: Tensor) -> Tensor:
    """(B, K, C) columns of a (B, C, H, W) map at flat cells (B, K)."""
    at = cells[:, None].expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, at).transpose(1, 2)


def _rows_cols(cells: Tensor, width: int) -> Tensor:
    """(..., 2) row and column of flat cells."""
    return torch.stack((cells // width, cells % width), -1)


def _grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row numbers (H, 1) and column numbers (W)."""
    rows = torch.arange(height, device=device, dtype=torch.float32)
    return rows[:, None], torch.arange(width, device=device, dtype=torch.float32)


def _to_map(values: Tensor) -> Tensor:
    return values[..., None, None]


def _center_weight(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W) weight that favours people near the crop's centre, as the published graph."""
    rows, cols = _grid(height, width, device)
    return 1 / (torch.hypot(rows - height / 2, cols - width / 2) + _DISTANCE_FLOOR)


def _unmirror(name: str, values: Tensor) -> Tensor:
    """A head map of mirrored crops as it would lie on the crops themselves.

    Cell c of the mirrored crop covers the pixels of cell W-1-c. A point at c + dx of it is at
    (W - 1 - c) + (1 - dx) of the crop, so columns' offsets turn into 1 - dx.
    """
    values = values.flip(-1)
    if name == "center":
        return values
    if name == "kpt_heatmap":
        return values[:, list(COCO_FLIP)]
    rows, cols = values.unflatten(1, (NUM_KEYPOINTS, 2))[:, list(COCO_FLIP)].unbind(2)
    return torch.stack((rows, 1 - cols), 2).flatten(1, 2)
