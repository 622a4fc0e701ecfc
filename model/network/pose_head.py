"""The head that walks the kinematic tree: one 3x3 matrix-Fisher parameter per body joint.

Each joint's small network reads the image embedding and what is known of its ancestors, so joints
of one depth are independent given the earlier depths: the tree is walked level by level, all
joints of a level at once, instead of joint by joint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hierprob3d.model.body.skeleton import ANCESTORS, LEVELS
from hierprob3d.model.rotation.rotations import free_sign_svd, proper_svd, special_procrustes

SIGN_RULES = ("paper", "invariant")
"""How an ancestor's orientation of spread reaches its descendants; see `PoseHead`."""

_FEATURE_BLOCKS = (range(9), range(9, 12), range(12, 21))
"""Orientation of the spread, size of the spread, mode."""

FEATURES_PER_ANCESTOR = 21
_SPREAD_EPS = 1e-6


class PoseDistribution(NamedTuple):
    """Matrix-Fisher parameters of the 23 body joints and their proper decomposition."""

    F: Tensor
    """(B, 23, 3, 3) parameters, F = U diag(S) V^T."""

    U: Tensor
    """(B, 23, 3, 3) rotations; the signs of their columns carry no meaning."""

    S: Tensor
    """(B, 23, 3) proper singular values, descending in magnitude; the third may be negative."""

    V: Tensor
    """(B, 23, 3, 3) rotations."""

    mode: Tensor
    """(B, 23, 3, 3) most probable rotations, U V^T."""


class _LevelWeights(NamedTuple):
    """Weights of the n joints of one depth, stacked along a new first axis."""

    columns: Tensor  # (n * 21 * depth,) where each joint's inputs lie in the row of all features
    ancestor_weight: Tensor  # (n, H, 21 * depth)
    output_weight: Tensor  # (n, 9, H)
    output_bias: Tensor  # (n, 1, 9), the identity already added


class _TreeWeights(NamedTuple):
    """Weights of the whole head in the form that the walk over the levels uses."""

    embed_weight: Tensor  # (E, 23 * H): this way round the product is faster on the CPU
    embed_bias: Tensor  # (23 * H,)
    levels: tuple[_LevelWeights, ...]


class PoseHead(nn.ModuleList):
    """23 two-layer networks, named by body joint, evaluated level by level of the kinematic tree.

    F_j = W2 elu(W1 [embedding, ancestors] + b1) + b2 + I. Ancestors enter nearest first in three
    blocks: orientation of the spread (9 numbers each), size of the spread (3), mode (9).

    With the sign rule "paper" the first two are the proper U and S of the ancestor's SVD. The signs
    of U's columns are then part of the model although an SVD may choose them freely, so the SVD
    must be LAPACK's in float32 on the CPU. With "invariant" they are U diag(S) U^T / sum |S| and
    sign(S) log(1 + |S|): the same numbers whatever the signs, on every library and device.

    Args:
        embed_dim: width E of the embedding; the hidden layers are half as wide.
        sign_rule: one of `SIGN_RULES`.
    """

    def __init__(self, embed_dim: int, sign_rule: str) -> None:
        super().__init__(
            nn.Sequential(
                nn.Linear(embed_dim + FEATURES_PER_ANCESTOR * len(ancestors), embed_dim // 2),
                nn.ELU(),
                nn.Linear(embed_dim // 2, 9),
            )
            for ancestors in ANCESTORS
        )
        self.embed_dim = embed_dim
        self.sign_rule = sign_rule
        self._frozen: _TreeWeights | None = None

    def forward(self, embed: Float[Tensor, "B E"]) -> PoseDistribution:
        """Distributions of the 23 body joints.

        Args:
            embed: (B, E) float32 embeddings of the picture.
        """
        use_frozen = self._frozen is not None and not torch.is_grad_enabled()
        weights = self._frozen if use_frozen else self._stack_weights()
        assert weights is not None
        return self._walk(embed, weights)

    def freeze(self) -> None:
        """Stack the weights once for inference instead of at every call.

        Later changes of single parameters go unseen; `train()`, `load_state_dict()` and moving the
        module undo it.
        """
        with torch.no_grad():
            self._frozen = self._stack_weights()

    def train(self, mode: bool = True) -> PoseHead:
        """Set training mode; drops the frozen weights."""
        if mode:
            self._frozen = None
        return super().train(mode)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> PoseHead:
        self._frozen = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._frozen = None
        super()._load_from_state_dict(*args, **kwargs)

    def _walk(self, embed: Tensor, weights: _TreeWeights) -> PoseDistribution:
        # The part of the first layers that reads the embedding: one product for all joints.
        from_embed = torch.addmm(weights.embed_bias, embed, weights.embed_weight)
        from_embed = from_embed.unflatten(1, (len(self), -1)).transpose(0, 1)  # (23, B, H)
        features = embed[:, :0]  # (B, 21 * joints walked so far)
        found: list[PoseDistribution] = []
        for joints, level in zip(LEVELS, weights.levels, strict=True):
            hidden = from_embed[joints[0] : joints[-1] + 1]  # (n, B, H)
            if len(level.columns):
                known = features.index_select(1, level.columns).unflatten(1, (len(joints), -1))
                hidden = torch.baddbmm(hidden, known.transpose(0, 1), level.ancestor_weight.mT)
            F = torch.baddbmm(level.output_bias, _elu(hidden), level.output_weight.mT)
            pose = self._decompose(F.unflatten(-1, (3, 3)))
            new_features = self._ancestor_features(pose).transpose(0, 1).flatten(1)
            features = torch.cat([features, new_features], dim=1)
            found.append(pose)
        joined = (torch.cat(parts).transpose(0, 1) for parts in zip(*found, strict=True))
        return PoseDistribution(*joined)

    def _decompose(self, F: Tensor) -> PoseDistribution:
        """Proper decomposition and mode of (n, B, 3, 3) matrices."""
        svd = proper_svd(F) if self.sign_rule == "paper" else free_sign_svd(F)
        # U V^T is the same rotation; the gradient of special_procrustes is the better one.
        return PoseDistribution(F, *svd, special_procrustes(F, svd))

    def _ancestor_features(self, pose: PoseDistribution) -> Tensor:
        """(n, B, 21) numbers about a joint that its descendants read."""
        if self.sign_rule == "paper":
            orientation, size = pose.U, pose.S
        else:
            magnitude = pose.S.abs()
            total = magnitude.sum(-1)[..., None, None].clamp_min(_SPREAD_EPS)
            orientation = pose.F @ pose.mode.mT / total  # = U diag(S) U^T / sum |S|
            size = pose.S.sign() * magnitude.log1p()
        return torch.cat([orientation.flatten(-2), size, pose.mode.flatten(-2)], dim=-1)

    def _linears(self, joint: int) -> tuple[nn.Linear, nn.Linear]:
        network = cast(nn.Sequential, self[joint])
        return cast(nn.Linear, network[0]), cast(nn.Linear, network[2])

    def _stack_weights(self) -> _TreeWeights:
        first = [self._linears(joint)[0] for joint in range(len(self))]
        return _TreeWeights(
            embed_weight=torch.cat([layer.weight[:, : self.embed_dim].T for layer in first], dim=1),
            embed_bias=torch.cat([layer.bias for layer in first]),
            levels=tuple(self._stack_level(joints) for joints in LEVELS),
        )

    def _stack_level(self, joints: tuple[int, ...]) -> _LevelWeights:
        first, second = zip(*(self._linears(joint) for joint in joints), strict=True)
        columns = [column for joint in joints for column in _feature_columns(ANCESTORS[joint])]
        device = first[0].weight.device
        identity = torch.eye(3, device=device).flatten()
        return _LevelWeights(
            columns=torch.tensor(columns, device=device, dtype=torch.long),
            ancestor_weight=torch.stack([layer.weight[:, self.embed_dim :] for layer in first]),
            output_weight=torch.stack([layer.weight for layer in second]),
            output_bias=torch.stack([layer.bias[None] + identity for layer in second]),
        )


def _feature_columns(ancestors: tuple[int, ...]) -> list[int]:
    """Columns of the row of all joints' features in the paper's order of inputs.

    That is the first blocks of all ancestors, then the second ones, then the third ones.
    """
    return [
        FEATURES_PER_ANCESTOR * ancestor + column
        for block in _FEATURE_BLOCKS
        for ancestor in ancestors
        for column in block
    ]


def _elu(x: Tensor) -> Tensor:
    """ELU by exp, which is vectorised on the CPU: expm1 in torch's own is 8 times slower there."""
    return functional.relu(x) + (x.clamp(max=0).exp() - 1)
