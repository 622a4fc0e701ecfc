"""The 17 COCO keypoints of detected people by HRNet, the paper's estimator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import ALWAYS_VISIBLE, NUM_KEYPOINTS
from hierprob3d.model.inference.network_source import NetworkSource, by_torch
from hierprob3d.model.network.device_batches import in_batches, on_device
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR, CropFrames
from hierprob3d.model.picture.pixels import crop_frames, picture_to_tensor

from .hrnet import INPUT_SIZE, HRNet, estimate_keypoints, load_hrnet
from .keypoint_estimators import KeypointEstimator, PersonKeypoints
from .movenet import default_batch_size
from .person_detectors import Detections


class HRNetKeypoints(KeypointEstimator):
    """Keypoints by HRNet-W48 on each person's 3:4 crop: the paper's estimator.

    Confidences are the heatmaps' maxima; positions lie on a grid of four crop pixels, as in the
    paper's code. Nobody is dropped, except boxes that are not made of numbers.

    Args:
        path: the published `pose_hrnet_w48_384x288.pth`.
        device: where the network runs.
        batch_size: most people at once; None: what suits the device.
        box_scale: enlargement of the boxes.
        source: gives what runs the network.
    """

    visibility_threshold = 0.75
    always_visible: tuple[int, ...] = ALWAYS_VISIBLE

    def __init__(
        self,
        path: str | Path,
        device: str | torch.device = "cpu",
        batch_size: int | None = None,
        box_scale: float = BOX_SCALE_FACTOR,
        source: NetworkSource = by_torch,
    ) -> None:
        self.device = torch.device(device)
        self.box_scale = box_scale
        self.network = source(lambda: load_hrnet(path, self.device), HRNet, Path(path))
        self.batch_size = batch_size or default_batch_size(self.device)

    @torch.inference_mode()
    def estimate_batch(
        self, images: Sequence[np.ndarray], detections: Sequence[Detections]
    ) -> list[PersonKeypoints]:
        """Keypoints of the people of several pictures, all people as one batch."""
        if not images:
            return []
        frames = [
            CropFrames.around(torch.as_tensor(people.boxes), INPUT_SIZE, self.box_scale)
            for people in detections
        ]
        crops = torch.cat(
            [
                crop_frames(picture_to_tensor(image), mine)
                for image, mine in zip(images, frames, strict=True)
            ]
        )
        points, confidences = self._run(crops)
        counts = [len(people) for people in detections]
        return [
            _to_picture(mine, crop_points, scores)
            for mine, crop_points, scores in zip(
                frames, points.split(counts), confidences.split(counts), strict=True
            )
        ]

    def _run(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (P, 17, 2) in px of the (P, 3, 384, 288) crops, and confidences (P, 17)."""

        def run(part: Tensor) -> tuple[Tensor, Tensor]:
            points, confidences = estimate_keypoints(self.network, on_device(part, self.device))
            return points.cpu(), confidences.cpu()

        found = in_batches(run, (crops,), self.batch_size)
        none = torch.empty(0, NUM_KEYPOINTS, 2), torch.empty(0, NUM_KEYPOINTS)
        points, confidences = zip(none, *found, strict=True)
        return torch.cat(points), torch.cat(confidences)


def _to_picture(frames: CropFrames, points: Tensor, confidences: Tensor) -> PersonKeypoints:
    """One picture's result from keypoints in px of its people's crops."""
    keypoints = torch.cat((frames.points_to_image(points), confidences[..., None]), -1)
    kept = torch.isfinite(keypoints).flatten(1).all(1)
    return PersonKeypoints(keypoints.numpy(), kept.numpy())
