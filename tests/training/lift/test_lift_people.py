from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.model.body.keypoint_body import KeypointBody
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.lift_input import LiftInput
from hierprob3d.training.lift import moved_errors
from hierprob3d.training.lift.lift_people import LiftPeople
from hierprob3d.training.lift.moved_errors import RealErrors
from hierprob3d.training.lift.views import Views
from hierprob3d.training.random.draws import Draws


def test_a_step_has_its_own_people_whatever_came_before(people: LiftPeople) -> None:
    first, other, again = people.batch(3, 8), people.batch(4, 8), people.batch(3, 8)
    assert torch.equal(first.joints2d, again.joints2d)
    torch.testing.assert_close(first.seen.keypoints, again.seen.keypoints, equal_nan=True)
    assert not torch.equal(first.joints2d, other.joints2d)


def test_either_finder_is_missing_of_some(lift_config: LiftTrainConfig, people: LiftPeople) -> None:
    seen = people.batch(0, 400).seen
    no_keypoints = seen.keypoints.isnan().flatten(1).all(1)
    no_landmarks = seen.landmarks.isnan().flatten(1).all(1)
    assert not (no_keypoints & no_landmarks).any()
    for missing, share in (
        (no_keypoints, lift_config.no_keypoints), (no_landmarks, lift_config.no_landmarks)
    ):  # fmt: skip
        assert abs(missing.float().mean() - share) < 0.07


def test_some_lack_depth_or_keypoints(lift_config: LiftTrainConfig, people: LiftPeople) -> None:
    config = replace(lift_config, no_keypoints=0.0, no_landmarks=0.0, no_depth=0.5)
    for share in (0.0, 1.0):
        people.config = replace(config, lost_keypoints=share)
        seen = people.batch(0, 200).seen
        flat = seen.landmarks[..., 2].eq(0).all(1).float().mean()
        lost = seen.keypoints.isnan().any(-1).float().mean()
        assert abs(flat - 0.5) < 0.1
        assert lost > 0.2 if share else lost < 0.2
    people.config = lift_config


def test_where_errors_are_known_modelled_people_have_keypoints_alone(
    lift_config: LiftTrainConfig, open_body: Body, errors: RealErrors
) -> None:
    config = replace(lift_config, moved_share=0.0, detected_share=0.0)
    seen = LiftPeople(config, open_body, errors).batch(0, 20).seen
    assert seen.landmarks.isnan().all() and seen.keypoints.isfinite().any()


def test_how_sure_it_is_is_learnt_from_others(
    lift_config: LiftTrainConfig,
    open_body: Body,
    errors: RealErrors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their clips are held back, and their errors those made on people kept apart."""
    unseen = RealErrors(errors.people[:10], KeypointBody(open_body))
    people = LiftPeople(lift_config, open_body, errors, unseen)
    asked: list[RealErrors] = []
    moved = RealErrors.moved

    def noted(self: RealErrors, views: Views, draws: Draws) -> LiftInput:
        asked.append(self)
        assert set(views.betas[:, 0].tolist()) <= set(people.held_back_views.betas[:, 0].tolist())
        return moved(self, views, draws)

    monkeypatch.setattr(RealErrors, "moved", noted)
    people.spread_batch(0, 20)
    assert asked == [unseen]


def test_modelled_keypoints_are_near_the_true_ones_and_weak_ones_less(people: LiftPeople) -> None:
    batch = people.batch(1, 800)
    hips = batch.joints2d[:, 1:3]
    found, score = batch.seen.keypoints[:, 11:13, :2], batch.seen.keypoints[:, 11:13, 2]
    off = (found - hips).norm(dim=-1)
    known = off.isfinite()
    sure, weak = off[known & (score >= 0.3)], off[known & (score < 0.3)]
    assert sure.median() < weak.median() < 20


def test_real_errors_move_with_the_size_of_the_person(
    people: LiftPeople, errors: RealErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moved_errors, "_JITTER_PX", 0.0)
    draws = Draws(torch.Generator().manual_seed(2))
    views = people.views.see(draws, 50)
    seen = errors.moved(views, draws)
    off = seen.keypoints[..., :2] - views.keypoints
    size = (views.keypoints - views.keypoints.mean(1, keepdim=True)).square().sum(-1).mean(1).sqrt()
    relative = off / size[:, None, None]
    spread = relative.std(1)
    assert (spread < 1e-4).all()  # all keypoints of a person by the same, in his size
    assert (off[..., 1] > 0).all()
    below = seen.landmarks[..., 1] - views.landmarks[..., 1]
    assert below.mean() < 0  # BlazePose erred the other way
    assert (off[..., 1].mean(1) / size).unique().numel() > 10


def test_thunders_errors_are_those_of_people_whom_he_was_asked_about(
    people: LiftPeople, errors: RealErrors, open_body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moved_errors, "_COMPARED", 30)
    thunder = errors.people.thunder.clone()
    thunder[::2] = torch.nan
    some = RealErrors(replace(errors.people, thunder=thunder), KeypointBody(open_body))
    off = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(moved_errors, "_ROUGH_SHARE", share)
        draws = Draws(torch.Generator().manual_seed(6))
        views = people.views.see(draws, 100)
        off.append((some.moved(views, draws).keypoints[..., :2] - views.keypoints).mean())
    assert 1.7 < off[1] / off[0] < 2.3  # the detector errs twice as far as thunder
    seen = some.themselves(Draws(torch.Generator().manual_seed(7)), 60).seen
    assert seen.keypoints.isfinite().all()


def test_nobody_is_known_by_his_confidences(people: LiftPeople, errors: RealErrors) -> None:
    draws = Draws(torch.Generator().manual_seed(4))
    seen = errors.moved(people.views.see(draws, 200), draws)
    confidences = seen.landmarks[..., 3:]
    assert ((confidences > 0) & (confidences < 1)).all()
    assert confidences.unique().numel() > 0.9 * confidences.numel()
    assert abs(confidences.median() - 0.5) < 0.02


def test_detected_people_keep_what_was_said_of_them(errors: RealErrors) -> None:
    batch = errors.themselves(Draws(torch.Generator().manual_seed(3)), 30)
    hips = batch.seen.keypoints[:, 11:13, :2].mean(1)
    landmark_hips = batch.seen.landmarks[:, 23:25, :2].mean(1)
    assert batch.seen.landmarks.isfinite().all()
    assert (hips - batch.joints2d[:, 1:3].mean(1)).norm(dim=-1).max() < 25
    apart = (hips - landmark_hips).norm(dim=-1)
    assert apart.min() > 7 and apart.max() < 30


def test_batches_have_shares_of_all_three(
    lift_config: LiftTrainConfig,
    open_body: Body,
    errors: RealErrors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moved_errors, "_CONFIDENCE_SPREAD", 0.0)
    config = replace(lift_config, no_keypoints=0.0, no_landmarks=0.0)
    mixed = LiftPeople(config, open_body, errors).batch(0, 100)
    marked = (mixed.seen.landmarks[..., 3] == 0.5).all(1).sum()  # these finders' only confidence
    assert int(marked) == int((config.moved_share + config.detected_share) * 100)
