"""The pose head against a plain walk joint by joint, and the properties of the two sign rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hierprob3d.model.body.skeleton import ANCESTORS, LEVELS
from hierprob3d.model.network import pose_head
from hierprob3d.model.network.pose_head import SIGN_RULES, PoseDistribution, PoseHead
from hierprob3d.model.rotation import rotations
from hierprob3d.model.rotation.matrix_fisher import MatrixFisher


def make_head(sign_rule: str, embed_dim: int = 32, gain: float = 20.0) -> PoseHead:
    """A head whose concentrations spread over some tens, as trained ones do."""
    torch.manual_seed(0)
    head = PoseHead(embed_dim, sign_rule)
    with torch.no_grad():
        for joint in range(len(head)):
            head._linears(joint)[1].weight.mul_(gain)
    return head


def walk_joint_by_joint(head: PoseHead, embed: Tensor) -> tuple[Tensor, Tensor]:
    """F and mode as the paper's text has them: one joint after the other, inputs joined by hand."""
    all_F: list[Tensor] = []
    orientation: list[Tensor] = []
    size: list[Tensor] = []
    mode: list[Tensor] = []
    for joint, ancestors in enumerate(ANCESTORS):
        inputs = [embed]
        inputs += [orientation[a].flatten(1) for a in ancestors]
        inputs += [size[a] for a in ancestors]
        inputs += [mode[a].flatten(1) for a in ancestors]
        F = head[joint](torch.cat(inputs, dim=1)).view(-1, 3, 3) + torch.eye(3, dtype=embed.dtype)
        U, S, V = rotations.proper_svd(F)
        if head.sign_rule == "invariant":
            spread = U @ torch.diag_embed(S / S.abs().sum(-1, keepdim=True)) @ U.mT
            orientation.append(spread)
            size.append(S.sign() * (1 + S.abs()).log())
        else:
            orientation.append(U)
            size.append(S)
        mode.append(U @ V.mT)
        all_F.append(F)
    return torch.stack(all_F, 1), torch.stack(mode, 1)


def with_flipped_pairs(F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Another correct proper SVD: the signs of two column pairs negated at random."""
    U, S, V = rotations.proper_svd(F)
    pairs = torch.tensor([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], dtype=F.dtype)
    generator = torch.Generator().manual_seed(F.shape[0])
    signs = pairs[torch.randint(0, 4, F.shape[:-2], generator=generator)][..., None, :]
    return U * signs, S, V * signs


@pytest.mark.parametrize("sign_rule", SIGN_RULES)
def test_levels_at_once_equal_joint_by_joint(sign_rule: str) -> None:
    head = make_head(sign_rule).double()
    embed = torch.randn(5, 32, dtype=torch.float64)
    with torch.no_grad():
        pose = head(embed)
        F, mode = walk_joint_by_joint(head, embed)
    torch.testing.assert_close(pose.F, F)
    torch.testing.assert_close(pose.mode, mode)
    assert pose.S.amax() > 10  # the comparison is not about nearly uniform joints


@pytest.mark.parametrize("sign_rule", SIGN_RULES)
def test_decomposition_belongs_to_F(sign_rule: str) -> None:
    with torch.no_grad():
        pose = make_head(sign_rule)(torch.randn(5, 32))
    rounding = 1e-5 * pose.F.abs().max().item()
    product = pose.U @ torch.diag_embed(pose.S) @ pose.V.mT
    torch.testing.assert_close(product, pose.F, atol=rounding, rtol=0)
    torch.testing.assert_close(pose.U @ pose.V.mT, pose.mode, atol=1e-5, rtol=0)
    for rotmat in (pose.U, pose.V, pose.mode):
        torch.testing.assert_close(torch.linalg.det(rotmat), torch.ones(5, 23))


def outputs_under_both_svds(
    head: PoseHead, embed: Tensor, monkeypatch: pytest.MonkeyPatch
) -> tuple[PoseDistribution, PoseDistribution]:
    with torch.no_grad():
        plain = head(embed)
        for name in ("proper_svd", "free_sign_svd"):
            monkeypatch.setattr(pose_head, name, with_flipped_pairs)
        return plain, head(embed)


def test_invariant_rule_ignores_the_signs_of_the_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    head = make_head("invariant")
    plain, flipped = outputs_under_both_svds(head, torch.randn(16, 32), monkeypatch)
    assert (plain.U - flipped.U).abs().max() > 1  # signs were really flipped
    torch.testing.assert_close(flipped.F, plain.F, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(flipped.mode, plain.mode, atol=1e-5, rtol=0)


def test_paper_rule_depends_on_the_signs_of_the_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    # Why the second rule exists; also shows that the test above can fail.
    head = make_head("paper")
    plain, flipped = outputs_under_both_svds(head, torch.randn(16, 32), monkeypatch)
    torch.testing.assert_close(flipped.F[:, :3], plain.F[:, :3])  # no ancestors, no difference
    assert (plain.F[:, 3:] - flipped.F[:, 3:]).abs().max() > 1


def test_invariant_rule_agrees_between_float32_and_float64() -> None:
    # Two SVD routines with signs of their own; 2000 people, not one flips.
    head = make_head("invariant")
    embed = torch.randn(2000, 32)
    with torch.no_grad():
        single = head(embed)
        double = head.double()(embed.double())
    assert (single.F - double.F).abs().max() < 1e-3 * double.F.abs().max()


def test_person_with_nan_leaves_the_others_alone() -> None:
    head = make_head("invariant")
    embed = torch.randn(4, 32)
    bad = embed.clone()
    bad[1] = float("nan")
    with torch.no_grad():
        clean, spoilt = head(embed), head(bad)
    others = [0, 2, 3]
    assert spoilt.F[1].isnan().all() and spoilt.mode[1].isnan().all()
    torch.testing.assert_close(spoilt.F[others], clean.F[others])


def test_gradient_of_invariant_rule_is_exact() -> None:
    head = make_head("invariant", embed_dim=8, gain=3.0).double()
    embed = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 23, 3, 3, dtype=torch.float64)

    def scalar(embed: Tensor) -> Tensor:
        pose = head(embed)
        return (pose.F * weight).sum() + (pose.mode * weight).sum() + pose.S.square().sum()

    assert torch.autograd.gradcheck(scalar, embed)


@pytest.mark.parametrize("sign_rule", SIGN_RULES)
@pytest.mark.parametrize(
    "singular_values",
    [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (2.0, 1.0, 1.0), (2.0, 1.0, -1.0), (1.0, 1.0, -1.0)],
)
def test_gradients_are_finite_at_repeated_singular_values(
    sign_rule: str, singular_values: tuple[float, ...]
) -> None:
    head = PoseHead(32, sign_rule)
    with torch.no_grad():
        for joint in range(len(head)):
            last = head._linears(joint)[1]
            last.weight.zero_()
            last.bias.copy_((torch.tensor(singular_values).diag() - torch.eye(3)).flatten())
    embed = torch.randn(3, 32, requires_grad=True)
    pose = head(embed)
    torch.testing.assert_close(pose.S, torch.tensor(singular_values).expand(3, 23, 3))
    (pose.F.sum() + (pose.mode * torch.randn(3, 3)).sum() + pose.S.square().sum()).backward()
    gradients = [embed.grad, *(parameter.grad for parameter in head.parameters())]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("sign_rule", SIGN_RULES)
def test_a_training_step_decomposes_every_matrix_once(
    sign_rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decomposed: list[int] = []
    svd = torch.linalg.svd

    def counted(matrices: Tensor) -> object:
        decomposed.append(matrices[..., 0, 0].numel())
        return svd(matrices)

    monkeypatch.setattr(torch.linalg, "svd", counted)
    pose = make_head(sign_rule)(torch.randn(5, 32))
    distribution = MatrixFisher(pose.F, (pose.U, pose.S, pose.V))
    loss = distribution.log_normalizer().sum() + distribution.rsample((2,)).square().sum()
    (loss + pose.mode.sum()).backward()
    assert sum(decomposed) == 5 * 23 and len(decomposed) == len(LEVELS)


def change_by_training_step(head: PoseHead) -> None:
    head.train()
    with torch.no_grad():
        head._linears(0)[1].bias.add_(1)
    head.eval()


def change_by_loading(head: PoseHead) -> None:
    state = head.state_dict()
    head.load_state_dict({**state, "0.2.bias": state["0.2.bias"] + 1})


@pytest.mark.parametrize("change", [change_by_training_step, change_by_loading])
def test_frozen_weights_do_not_outlive_a_change(change: Callable[[PoseHead], None]) -> None:
    head = make_head("invariant").eval()
    embed = torch.randn(2, 32)
    with torch.no_grad():
        before = head(embed).F
        head.freeze()
        assert torch.equal(head(embed).F, before)
        change(head)
        torch.testing.assert_close(head(embed).F[:, 0], before[:, 0] + 1)


def test_frozen_head_still_trains() -> None:
    head = make_head("invariant").eval()
    head.freeze()
    head(torch.randn(2, 32)).F.sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_frozen_head_can_change_precision() -> None:
    head = make_head("invariant").eval()
    head.freeze()
    with torch.no_grad():
        assert head.double()(torch.randn(2, 32).double()).F.dtype == torch.float64
