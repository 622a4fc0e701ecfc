"""The paper's training step written plainly from its description, for comparisons only.

Joint by joint, sample by sample, with whole heatmaps, the whole body and plain Adam; nothing of it
comes from the code under test but the trapezoid, which is compared with the original's by itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from hierprob3d.model.rotation.paper_normalizer import trapezoid_log_normalizer_and_gradient

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
FACE = (332, 2800, 6260, 583, 4071)
COCO_JOINTS = (16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8)
H36M_TO_14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)


class PlainNet(nn.Module):
    """The network, joint by joint."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = resnet18(weights=None)
        self.image_encoder.conv1 = nn.Conv2d(18, 64, 7, stride=2, padding=3, bias=False)
        self.image_encoder.fc = nn.Identity()
        self.register_buffer("init_glob", torch.zeros(1, 6))
        self.register_buffer("init_cam", torch.zeros(3))
        self.fc1 = nn.Linear(512, 512)
        self.fc_shape, self.fc_glob = nn.Linear(512, 20), nn.Linear(512, 6)
        self.fc_cam, self.fc_embed = nn.Linear(512, 3), nn.Linear(512 + 29, 256)
        self.fc_pose = nn.ModuleList(
            nn.Sequential(nn.Linear(256 + 21 * len(above(j)), 128), nn.ELU(), nn.Linear(128, 9))
            for j in range(23)
        )

    def forward(self, proxy: Tensor) -> dict[str, Any]:
        features = self.image_encoder(proxy)
        hidden = nn.functional.elu(self.fc1(features))
        shape = self.fc_shape(hidden)
        glob, cam = self.fc_glob(hidden) + self.init_glob, self.fc_cam(hidden) + self.init_cam
        embed = nn.functional.elu(self.fc_embed(torch.cat([features, shape, glob, cam], 1)))
        us: list[Tensor] = []
        ss: list[Tensor] = []
        modes: list[Tensor] = []
        fs: list[Tensor] = []
        for joint, head in enumerate(self.fc_pose):
            known = [embed]
            for found in (us, ss, modes):
                known += [found[a].flatten(1) for a in above(joint)]
            F = head(torch.cat(known, 1)).view(-1, 3, 3) + torch.eye(3)
            U, S, Vt = torch.linalg.svd(F)
            V = Vt.mT
            det_u, det_v = torch.det(U).detach(), torch.det(V).detach()
            last = torch.tensor([0.0, 0.0, 1.0])
            U = U * (1 + last * (det_u[:, None] - 1))[:, None]
            V = V * (1 + last * (det_v[:, None] - 1))[:, None]
            S = S * (1 + last * (det_u * det_v - 1)[:, None])
            fs, us, ss, modes = [*fs, F], [*us, U], [*ss, S], [*modes, U @ V.mT]
        stacked = {"F": torch.stack(fs, 1), "S": torch.stack(ss, 1), "mode": torch.stack(modes, 1)}
        scale = shape[:, 10:].exp()
        return {**stacked, "loc": shape[:, :10], "scale": scale, "glob": rot6d(glob), "cam": cam}


def above(joint: int) -> list[int]:
    """Ancestors of a body joint 0..22, the nearest first."""
    found, parent = [], PARENTS[joint + 1]
    while parent > 0:
        found.append(parent - 1)
        parent = PARENTS[parent]
    return found


def rot6d(six: Tensor) -> Tensor:
    """Rotations whose first two columns are those of (B, 3, 2) numbers, made orthonormal."""
    first, second = six.view(-1, 3, 2).unbind(-1)
    b1 = nn.functional.normalize(first, dim=-1)
    b2 = second - (b1 * second).sum(-1, keepdim=True) * b1
    b2 = nn.functional.normalize(b2, dim=-1)
    return torch.stack([b1, b2, torch.linalg.cross(b1, b2, dim=-1)], -1)


class PlainBody:
    """SMPL and its joints from the arrays of its file."""

    def __init__(self, file: Path, h36m: Path) -> None:
        with file.open("rb") as stream:
            arrays: Mapping[str, Any] = pickle.load(stream, encoding="latin1")
        dense = {
            name: value.toarray() if hasattr(value, "toarray") else value
            for name, value in arrays.items()
        }
        self.a = {
            name: torch.from_numpy(np.array(dense[name])).float()
            for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
        }
        self.h36m = torch.from_numpy(np.load(h36m)).float()

    def __call__(self, betas: Tensor, pose: Tensor, glob: Tensor) -> dict[str, Tensor]:
        """Vertices, COCO keypoints and the 14 joints of poses (B, 23, 3, 3)."""
        shaped = self.a["v_template"] + torch.einsum(
            "vck,bk->bvc", self.a["shapedirs"][..., :10], betas
        )
        rest = self.a["J_regressor"] @ shaped
        offsets = (pose - torch.eye(3)).flatten(1)
        shaped = shaped + torch.einsum("vck,bk->bvc", self.a["posedirs"], offsets)
        turns, places = [glob], [rest[:, 0]]
        for joint in range(1, 24):
            parent = PARENTS[joint]
            bone = rest[:, joint] - rest[:, parent]
            places.append(places[parent] + (turns[parent] @ bone[..., None])[..., 0])
            turns.append(turns[parent] @ pose[:, joint - 1])
        turn, place = torch.stack(turns, 1), torch.stack(places, 1)
        moved = torch.einsum("bjrc,bjvc->bjvr", turn, shaped[:, None] - rest[:, :, None])
        moved = moved + place[:, :, None]
        vertices = torch.einsum("vj,bjvr->bvr", self.a["weights"], moved)
        coco = torch.cat([vertices[:, list(FACE)], place[:, list(COCO_JOINTS)]], 1)
        fourteen = (self.h36m @ vertices)[:, list(H36M_TO_14)]
        return {"vertices": vertices, "coco": coco, "fourteen": fourteen}


class _Trapezoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, S: Tensor) -> Tensor:
        value, gradient = trapezoid_log_normalizer_and_gradient(S)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][..., None] * ctx.saved_tensors[0]


def plain_proxy(edges: Tensor, joints2d: Tensor, visible: Tensor) -> Tensor:
    """(B, 18, 256, 256) of edges (B, 256, 256) and keypoints (B, 17, 2) px."""
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    x, y = joints2d[..., 0, None, None], joints2d[..., 1, None, None]
    heat = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
    return torch.cat([edges[:, None], heat * visible[..., None, None]], 1)


def plain_loss(
    said: dict[str, Any], body: PlainBody, truth: dict[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """The loss of a batch, its keypoints those of the mode alone.

    Args:
        said: of `PlainNet`.
        body: SMPL.
        truth: rotmats (B, 24, 3, 3), betas, joints2d px, visible.
        weights: of pose, shape, joints2d, global_rotmat, vertices and joints3d.
    """
    found = body(said["loc"], said["mode"], said["glob"])
    true = body(truth["betas"], truth["rotmats"][:, 1:], truth["rotmats"][:, 0])
    flipped = found["coco"] * torch.tensor([1.0, -1.0, -1.0])
    on_screen = said["cam"][:, None, :1] * (flipped[..., :2] + said["cam"][:, None, 1:])
    aim = 2 * truth["joints2d"] / 256 - 1
    nll = 1.005 * _Trapezoid.apply(said["S"])
    nll = nll - (said["F"] * truth["rotmats"][:, 1:]).sum((-2, -1))
    shape = torch.distributions.Normal(said["loc"], said["scale"])
    mse = nn.functional.mse_loss
    return (
        weights["pose"] * nll.mean()
        - weights["shape"] * shape.log_prob(truth["betas"]).sum(1).mean()
        + weights["joints2d"] * mse(on_screen[truth["visible"]], aim[truth["visible"]])
        + weights["global_rotmat"] * mse(said["glob"], truth["rotmats"][:, 0])
        + weights["vertices"] * mse(found["vertices"], true["vertices"])
        + weights["joints3d"] * mse(found["fourteen"], true["fourteen"])
    )
