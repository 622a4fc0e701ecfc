"""Stage `proxy`: edges and keypoint heatmaps of every person's crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.picture.proxy import (
    NetworkCrops,
    edge_detector_of,
    make_proxy,
    network_crops,
    person_crops,
)
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import BodyModels

PROXY = "proxy"
EDGES = "edges"


def make_proxies(people: People, images: Sequence[np.ndarray], models: BodyModels) -> Columns:
    """Columns `proxy` (P, 18, 256, 256) and `crop` (P, 3: centre x, centre y, side).

    Args:
        people: With columns frame, bbox and keypoints, in ascending order of `frame`.
        images: Pictures by `frame`, (H, W, 3) uint8 RGB.
        models: The keypoint model's rule of visibility, and where the proxies are made.
    """
    crops = [
        _crop_frame(people, images[place], place, models)
        for place in people.columns["frame"].unique().tolist()
    ]
    proxy = make_proxy(
        torch.cat([crop.rgb for crop in crops]),
        torch.cat([crop.joints2d for crop in crops]),
        torch.cat([crop.visible for crop in crops]),
        edge_detector_of(models.proxy),
        models.proxy.heatmap_std,
    )
    return {PROXY: proxy, "crop": torch.cat([crop.crop_records for crop in crops])}


def edges_of(proxies: Tensor) -> Tensor:
    """The edges (P, 256, 256) of proxies as uint8, which pictures show."""
    return (proxies[:, 0] * 255).clamp(0, 255).byte()


def _crop_frame(people: People, image: np.ndarray, place: int, models: BodyModels) -> NetworkCrops:
    """Crops of the people of one frame."""
    mine = people.columns["frame"] == place
    boxes, scale = people.columns["bbox"][mine].numpy(), models.proxy.box_scale
    cut = person_crops(image, boxes, scale, device=models.device)
    keypoints = people.columns["keypoints"][mine]
    return network_crops(cut, keypoints, models.threshold, models.always_visible)
