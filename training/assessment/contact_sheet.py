"""What the network is given, what is true and what it answers, side by side for some people."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.picture.cameras import half_turn_x, pixels_to_normalised, project_body
from hierprob3d.model.picture.drawing import Picture, draw_bodies
from hierprob3d.model.picture.lettering import write_text
from hierprob3d.model.picture.overlays import draw_keypoints
from hierprob3d.model.picture.proxy import HEATMAP_STD, PROXY_SIZE
from hierprob3d.model.rotation.rotations import rotvec_to_rotmat
from hierprob3d.training.people.augmentation import network_input
from hierprob3d.training.people.rendered_people import RenderedSet

_TITLES = ("input", "truth", "prediction")
_STRIP = 22
_PEOPLE_PER_ROW = 2
_OPACITY = 0.55


@torch.no_grad()
def contact_sheet(
    net: DistributionNet,
    body: Body,
    people: RenderedSet,
    joints2d: Tensor,
    kept: Tensor,
    stride: int,
    heatmap_std: float = HEATMAP_STD,
) -> Picture:
    """Three squares of 256 px per person, two people in a row, black where there are no more.

    The input shows the edges and the heatmaps of the keypoints given, coloured by side. Truth and
    prediction show the body of the mode and its keypoints before the edges. The true body is drawn
    with the weak-perspective camera nearest to its own, so it may miss its outline by some pixels
    where its keypoints do not.

    Args:
        net: network, put into evaluation mode.
        body: the whole body.
        people: N rendered people.
        joints2d: (N, 17, 2) keypoints given to the network, px of the 256 crop.
        kept: (N, 17) bool of those; the others it does not see.
        stride: pixels of the crop averaged before the encoder.
        heatmap_std: of the heatmaps, px of the crop.
    """
    proxy = network_input(people, joints2d, kept, stride, torch.float32, heatmap_std)
    inputs = _input_pictures(proxy, joints2d, kept)
    grounds = [picture // 2 for picture in _grey(proxy[:, :1])]
    rotmats = rotvec_to_rotmat(people.rotvecs)
    true_vertices, true_joints = body(people.betas, rotmats[:, 1:], rotmats[:, 0])
    keypoints = body.coco_joints(true_vertices, true_joints)
    camera = fitted_camera(keypoints, pixels_to_normalised(people.joints2d, PROXY_SIZE))
    seen = ~people.outside
    truths = _with_bodies(grounds, body, true_vertices, camera, people.joints2d, seen)
    output = net.eval().decode(net.features(proxy))
    vertices, joints = body(output.shape_mean, output.pose_mode, output.global_rotmat)
    crops = _crops(output.camera)
    answered = project_body(body.coco_joints(vertices, joints), output.camera, crops)
    answers = _with_bodies(grounds, body, vertices, output.camera, answered, torch.ones_like(seen))
    rows = [np.concatenate(row, axis=1) for row in zip(inputs, truths, answers, strict=True)]
    return _sheet(rows)


def fitted_camera(points: Tensor, joints2d: Tensor) -> Tensor:
    """Weak-perspective cameras (B, 3) that bring points nearest to where they are seen.

    Args:
        points: (B, K, 3) metres, body frame.
        joints2d: (B, K, 2) the same on the crop, -1..1.
    """
    flat = half_turn_x(points)[..., :2]
    flat_mean, seen_mean = flat.mean(1, keepdim=True), joints2d.mean(1, keepdim=True)
    flat, seen = flat - flat_mean, joints2d - seen_mean
    scale = (flat * seen).sum((1, 2)) / (flat**2).sum((1, 2))
    return torch.cat([scale[:, None], seen_mean[:, 0] / scale[:, None] - flat_mean[:, 0]], dim=1)


def _input_pictures(proxy: Tensor, joints2d: Tensor, kept: Tensor) -> list[Picture]:
    """Edges in grey, heatmaps over them, and in their middle the keypoints' colours."""
    heat = functional.interpolate(proxy[:, 1:].amax(1, keepdim=True), (PROXY_SIZE, PROXY_SIZE))
    glow = (heat[:, 0, ..., None] * 160).byte().cpu().numpy()
    lit = [np.maximum(g, e) for g, e in zip(glow, _grey(proxy[:, :1]), strict=True)]
    return _marked(lit, joints2d, kept)


def _grey(edges: Tensor) -> list[Picture]:
    """Pictures of edges (B, 1, S, S), the strongest of each white, weak ones lifted."""
    strength = edges / edges.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    strength = functional.interpolate(strength.sqrt(), (PROXY_SIZE, PROXY_SIZE))
    return list((strength[:, 0, ..., None].expand(-1, -1, -1, 3) * 255).byte().cpu().numpy())


def _with_bodies(
    grounds: list[Picture],
    body: Body,
    vertices: Tensor,
    cameras: Tensor,
    joints2d: Tensor,
    seen: Tensor,
) -> list[Picture]:
    """One body and its keypoints before each ground; of a diverged network the ground alone."""
    crops = _crops(cameras)
    finite = vertices.isfinite().all(-1).all(-1) & cameras.isfinite().all(-1)
    drawn = [
        draw_bodies(
            ground, vertices[i : i + 1], body.faces, cameras[i : i + 1], crops[i : i + 1],
            opacity=_OPACITY,
        )
        if finite[i] else ground
        for i, ground in enumerate(grounds)
    ]  # fmt: skip
    return _marked(drawn, joints2d, seen)


def _marked(pictures: list[Picture], joints2d: Tensor, seen: Tensor) -> list[Picture]:
    people = torch.cat([joints2d, seen[..., None].to(joints2d.dtype)], dim=-1).cpu().numpy()
    return [draw_keypoints(p, k[None]) for p, k in zip(pictures, people, strict=True)]


def _crops(cameras: Tensor) -> Tensor:
    """Crop records (B, 3) of pictures that are crops themselves."""
    half = PROXY_SIZE / 2
    return cameras.new_tensor([half, half, PROXY_SIZE]).expand(len(cameras), 3)


def _sheet(people: list[Picture]) -> Picture:
    """Pictures of equal size under their titles, some in each row."""
    missing = -len(people) % _PEOPLE_PER_ROW
    people = people + [np.zeros_like(people[0])] * missing
    starts = range(0, len(people), _PEOPLE_PER_ROW)
    rows = [np.concatenate(people[start : start + _PEOPLE_PER_ROW], axis=1) for start in starts]
    strip = np.full((_STRIP, rows[0].shape[1], 3), 255, np.uint8)
    for column, title in enumerate(_TITLES * _PEOPLE_PER_ROW):
        place = (column * PROXY_SIZE + 8, _STRIP - 7)
        write_text(strip, title, place, 0.5)
    return np.concatenate([strip, *rows])
