"""How wide a person is in the picture: lengths across trunk and limbs, read off a silhouette.

Betas from keypoints alone are hardly better than the mean shape; these lengths tell the rest. They
are in sizes of the person (see `person_scale`), so that they depend neither on the camera's
distance nor on how the silhouette's picture is turned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from hierprob3d.model.body.skeleton import COCO_FLIP

_TRUNK = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0, 1.15)
"""Places on the line from the middle of the shoulders to that of the hips, as shares of it."""
_LIMBS = ((5, 7), (6, 8), (7, 9), (8, 10), (11, 13), (12, 14), (13, 15), (14, 16))
"""Ends of the limbs, COCO keypoints."""
_ALONG_LIMB = (0.3, 0.65)
_SHOULDERS, _HIPS = [5, 6], [11, 12]

NUM_PLACES = len(_TRUNK) + len(_LIMBS) * len(_ALONG_LIMB)
NUM_WIDTHS = 3 * NUM_PLACES + 1
"""Of each place the lengths to the left and to the right of the line and how surely it is seen;
then the silhouette's area."""

_STARTS = [start for start, _ in _LIMBS for _ in _ALONG_LIMB]
_ENDS = [end for _, end in _LIMBS for _ in _ALONG_LIMB]
_SHARES = torch.tensor(_ALONG_LIMB * len(_LIMBS))
_REACH = 0.9
"""Sizes of the person within which a silhouette's edge is looked for."""
_STEPS = 40
_LARGEST_AREA = 8.0
_LEAST_WEIGHT = 0.05
_LEAST_SIZE = 2.0
"""px."""


def person_scale(
    keypoints: Float[Tensor, "B 17 3"],
) -> tuple[Float[Tensor, "B 1 2"], Float[Tensor, "B 1 1"]]:
    """Centres (B, 1, 2) and sizes (B, 1, 1) of people: root mean square distance from the centre.

    Args:
        keypoints: (B, 17, 3) x, y, confidence, which is their weight.
    """
    points, weight = keypoints[..., :2], keypoints[..., 2:].clamp(_LEAST_WEIGHT, 1)
    total = weight.sum(1, keepdim=True)
    centre = (points * weight).sum(1, keepdim=True) / total
    squared = (points - centre).square().sum(-1, keepdim=True)
    size = ((squared * weight).sum(1, keepdim=True) / total).sqrt()
    return centre, size.clamp_min(_LEAST_SIZE)


def body_widths(
    silhouettes: Float[Tensor, "B H W"], keypoints: Float[Tensor, "B 17 3"]
) -> Float[Tensor, "B 73"]:
    """(B, NUM_WIDTHS) lengths in sizes of the person, confidences, and area in squared sizes.

    A place that is not on the silhouette has lengths of 0; one outside its picture is seen with
    confidence 0.

    Args:
        silhouettes: (B, H, W) 0..1, a person where above a half; the edge lies between pixels.
        keypoints: (B, 17, 3) x, y in px of it and confidence.
    """
    _, size = person_scale(keypoints)
    places, along, seen = _places(keypoints)
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    across = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-3)
    both = torch.stack([across, -across], 2)  # (B, P, 2 sides, 2)
    reach = torch.linspace(0, _REACH, _STEPS, device=places.device)
    steps = both[..., None, :] * reach[:, None] * size[..., None, None]
    picture = places.new_tensor(silhouettes.shape[:0:-1])
    grid = (places[:, :, None, None] + steps) / picture * 2 - 1
    values = grid_sample(silhouettes[:, None], grid.flatten(1, 2), align_corners=False)
    lengths = _first_edge(values.view(steps.shape[:-1])) * (_REACH / (_STEPS - 1))
    inside = ((places >= 0) & (places < picture)).all(-1)
    area = silhouettes.sum((1, 2)) / size[:, 0, 0].square()
    numbers = [lengths.flatten(1), seen * inside, area[:, None].clamp(max=_LARGEST_AREA)]
    return torch.cat(numbers, 1)


def mirrored_widths(widths: Float[Tensor, "B 73"]) -> Float[Tensor, "B 73"]:
    """The widths (B, NUM_WIDTHS) of the same people in the mirror."""
    order = list(range(len(_TRUNK)))
    limbs = [
        (start, end, place) for start, end in _LIMBS for place in range(len(_ALONG_LIMB))
    ]  # fmt: skip
    order += [
        len(_TRUNK) + limbs.index((COCO_FLIP[start], COCO_FLIP[end], place))
        for start, end, place in limbs
    ]
    lengths = widths[:, : 2 * NUM_PLACES].view(-1, NUM_PLACES, 2)[:, order].flip(-1)
    seen = widths[:, 2 * NUM_PLACES : 3 * NUM_PLACES][:, order]
    return torch.cat([lengths.flatten(1), seen, widths[:, 3 * NUM_PLACES :]], 1)


def _places(keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places (B, P, 2) px, directions (B, P, 2) of their lines, and confidences (B, P)."""
    points, confidence = keypoints[..., :2], keypoints[..., 2]
    shoulders, hips = points[:, _SHOULDERS].mean(1), points[:, _HIPS].mean(1)
    shares = points.new_tensor(_TRUNK)[:, None]
    trunk = shoulders[:, None] + (hips - shoulders)[:, None] * shares
    start, end = points[:, _STARTS], points[:, _ENDS]
    limbs = start + (end - start) * _SHARES.to(points)[:, None]
    of_trunk = confidence[:, [*_SHOULDERS, *_HIPS]].amin(1, keepdim=True)
    of_limbs = torch.minimum(confidence[:, _STARTS], confidence[:, _ENDS])
    along_trunk = (hips - shoulders)[:, None].expand_as(trunk)
    return (
        torch.cat([trunk, limbs], 1),
        torch.cat([along_trunk, end - start], 1),
        torch.cat([of_trunk.expand(-1, len(_TRUNK)), of_limbs], 1),
    )


def _first_edge(values: Tensor) -> Tensor:
    """Steps (...) until values (..., S) fall below a half, between two of them; 0 if at once."""
    below = values < 0.5
    first = torch.where(below.any(-1), below.float().argmax(-1), _STEPS)
    beyond = first.clamp(1, _STEPS - 1)[..., None]
    last, next_one = values.gather(-1, beyond - 1)[..., 0], values.gather(-1, beyond)[..., 0]
    share = ((last - 0.5) / (last - next_one).clamp_min(1e-3)).clamp(0, 1)
    steps = torch.where(first == _STEPS, _STEPS - 1.0, beyond[..., 0] - 1 + share)
    return torch.where(first == 0, 0.0, steps)
