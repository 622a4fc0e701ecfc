"""A linear readout of the encoder's features, which makes them say where the body is.

The distributions alone teach the encoder slowly: their likelihood reaches it through 23 networks,
one behind the other.  Plain regression of rotations and joints from the same features needs about a
tenth of the pictures to place joints as well.  The readout is part of the training only.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.body.skeleton import NUM_BETAS, NUM_JOINTS, NUM_KEYPOINTS

from .losses import Target

_SIZES = (9 * NUM_JOINTS, 3 * NUM_JOINTS, 2 * NUM_KEYPOINTS, NUM_BETAS)
_JOINTS2D_WEIGHT = 4.0
_JOINTS3D_WEIGHT = 5.0
_BETAS_WEIGHT = 0.05


@dataclass(frozen=True)
class ReadTruth:
    """What is read from features.

    Attributes:
        rotmats: (B, 24, 3, 3) relative to the parents; as an answer not orthonormal.
        joints3d: (B, 24, 3) metres, relative to the pelvis.
        joints2d: (B, 17, 2) -1..1 across the crop.
        betas: (B, 10).
    """

    rotmats: Tensor
    joints3d: Tensor
    joints2d: Tensor
    betas: Tensor


class Readout(nn.Module):
    """One linear map from features to the truth.

    It begins at zero, and so pushes the encoder nowhere before it has learnt what to read: an
    encoder that was trained before keeps what it knows.

    Args:
        num_features: 512 for a ResNet-18, 2048 for a ResNet-50.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, sum(_SIZES))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> ReadTruth:
        """What features (B, num_features) say."""
        rotmats, joints3d, joints2d, betas = self.linear(features).split(_SIZES, dim=1)
        return ReadTruth(
            rotmats=rotmats.unflatten(1, (NUM_JOINTS, 3, 3)),
            joints3d=joints3d.unflatten(1, (NUM_JOINTS, 3)),
            joints2d=joints2d.unflatten(1, (NUM_KEYPOINTS, 2)),
            betas=betas,
        )


def readout_loss(read: ReadTruth, target: Target) -> Tensor:
    """Distances of joints and squared errors of rotations, keypoints and shape, about 1 at first.

    Keypoints count wherever they are, seen or not: where hidden limbs are is to be guessed.
    """
    joints3d = target.joints3d - target.joints3d[:, :1]
    global_error = functional.mse_loss(read.rotmats[:, 0], target.global_rotmat)
    pose_error = functional.mse_loss(read.rotmats[:, 1:], target.pose_rotmats)
    return (
        (global_error + (NUM_JOINTS - 1) * pose_error) / NUM_JOINTS
        + _JOINTS3D_WEIGHT * (read.joints3d - joints3d).norm(dim=-1).mean()
        + _JOINTS2D_WEIGHT * functional.mse_loss(read.joints2d, target.joints2d)
        + _BETAS_WEIGHT * functional.mse_loss(read.betas, target.betas)
    )
