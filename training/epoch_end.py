"""What follows each epoch: validation, the best weights, a checkpoint, pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch

from hierprob3d.configs.training import TrainConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.network.checkpoints import save_distribution_net, save_paper_checkpoint
from hierprob3d.model.network.distribution_net import DistributionNet
from hierprob3d.model.network.network_config import WeightsMetadata
from hierprob3d.training.assessment.contact_sheet import contact_sheet
from hierprob3d.training.assessment.validation import Validator
from hierprob3d.training.learning.learner import Learner
from hierprob3d.training.learning.schedule import Step
from hierprob3d.training.people.augmentation import detected_keypoints
from hierprob3d.training.people.people_source import PeopleSource
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.run.loss_plot import plot_log
from hierprob3d.training.run.paper_checkpoint import (
    checkpoint_name,
    metrics_to_paper,
    optimiser_state_to_paper,
)
from hierprob3d.training.run.run_log import VALIDATION, RunLog, read_log
from hierprob3d.training.run.run_state import BestWeights, RunState, is_better

from .provenance import weights_metadata

_logger = logging.getLogger(__name__)


class EpochEnd:
    """Judges the averaged weights of a run and keeps what is worth it.

    Args:
        config: the run.
        folder: of the run; weights/ and checkpoints/ go there.
        body: the whole body.
        learner: whose weights to judge.
        validator: how.
        val_people: held-back people, of whom the first are shown too.
        state: holds the best weights so far.
        log: takes metrics and pictures.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        body: Body,
        learner: Learner,
        validator: Validator,
        val_people: PeopleSource,
        state: RunState,
        log: RunLog,
    ) -> None:
        self.config, self.folder, self.body, self.learner = config, folder, body, learner
        self.validator, self.val_people, self.state, self.log = validator, val_people, state, log

    def finish(
        self,
        step: Step,
        train_people: RenderedSet,
        effort: dict[str, float],
        is_last: bool,
        is_stopped: Callable[[], bool],
    ) -> bool:
        """Does all that follows the last step of an epoch; whether there was time for it.

        Weights are not judged in phases whose heads do not learn: they would say nothing yet.

        Args:
            step: that step.
            train_people: its batch, of which the first are shown.
            effort: what the run took so far.
            is_last: whether no epoch follows.
            is_stopped: whether the run is to end now.
        """
        net = cast(DistributionNet, self.learner.average.module)
        judges = step.phase.loss.counts
        if judges and not self._judge(net, step, effort, is_stopped):
            return False
        if step.epoch % self.config.epochs_per_checkpoint == 0 or is_last:
            self._save_paper_checkpoint(step.epoch, judges)
        self._draw(net, step, train_people)
        return True

    def _judge(
        self,
        net: DistributionNet,
        step: Step,
        effort: dict[str, float],
        is_stopped: Callable[[], bool],
    ) -> bool:
        """Validates weights, and keeps them if they are the best so far; False if stopped."""
        stride = step.phase.stride
        metrics = self.validator.validate(net, self.val_people, step.epoch, stride, is_stopped)
        if metrics is None:
            return False
        line = {"step": step.number + 1, "epoch": step.epoch, "stride": stride}
        self.log.write(VALIDATION, {**line, **metrics})
        # A coarser input than the network's own is only a warm-up: finer weights replace it.
        score = (float(stride), metrics[self.config.selection_metric])
        if is_better(score, self.state.best, metrics, self.config.no_worse_metrics):
            weights = {k: v.detach().cpu().clone() for k, v in net.state_dict().items()}
            self.state.best = BestWeights(step.epoch, score, metrics, effort, weights)
            save_distribution_net(net, self.folder / "weights", self._metadata(self.state.best))
        return True

    def _metadata(self, best: BestWeights) -> WeightsMetadata:
        return weights_metadata(
            self.config, self.folder, self.body.family, best.epoch, best.metrics, best.effort,
            self.validator.mean_pose,
        )  # fmt: skip

    def _save_paper_checkpoint(self, epoch: int, is_judged: bool) -> None:
        """Writes checkpoints/epoch_NNN.tar in the layout of the paper's code."""
        best = self.state.best
        if best is None:
            if is_judged:
                _logger.warning("no checkpoint of epoch %d: no validation gave a number", epoch)
            return
        net = self.learner.net
        save_paper_checkpoint(
            self.folder / checkpoint_name(epoch),
            metadata=self._metadata(best),
            epoch=epoch,
            model_state=net.state_dict(),
            best_epoch=best.epoch,
            best_metrics=metrics_to_paper(best.metrics),
            best_state=best.weights,
            optimiser_state=optimiser_state_to_paper(
                self.learner.optimisation.optimiser.state_dict(), len(list(net.parameters()))
            ),
        )

    def _draw(self, net: DistributionNet, step: Step, train_people: RenderedSet) -> None:
        """Draws the whole log, some people in training with a picture, and as many held back."""
        self.log.picture("losses", plot_log(read_log(self.log.path)), step.number + 1)
        num = self.config.contact_sheet_people // 2
        if num == 0:
            return
        device = self.learner.device
        held_back = self.val_people.batch(step.epoch, 0)
        sources = [held_back] if self.config.data.bare else [train_people, held_back]
        shown = [some[:num].to(device) for some in sources]
        people = RenderedSet.joined(shown)
        generator = torch.Generator(device).manual_seed(self.config.seed)
        given = detected_keypoints(people, self.config.data.keypoint_noise, generator)
        heatmap_std = self.config.data.proxy.heatmap_std
        sheet = contact_sheet(net, self.body, people, *given, step.phase.stride, heatmap_std)
        self.log.picture(f"people/epoch_{step.epoch:03d}", sheet, step.number + 1)
