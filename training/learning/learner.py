"""The network in training: what one batch teaches it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hierprob3d.configs.training import TrainConfig
from hierprob3d.configs.training_phases import PhaseConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.files.file_errors import one_line_errors
from hierprob3d.model.files.weight_files import WeightsError
from hierprob3d.training.assessment.mode_errors import mode_errors
from hierprob3d.training.people.augmentation import (
    detected_keypoints,
    mirrored,
    network_input,
    places_of_keypoints,
)
from hierprob3d.training.people.rendered_people import RenderedSet
from hierprob3d.training.random.draws import Draws
from hierprob3d.training.run.distributed import Ranks
from hierprob3d.training.run.paper_checkpoint import PaperCheckpoint, take_optimiser_state
from hierprob3d.training.run.run_state import Stateful

from .batch_parts import BatchPart, batch_parts, share_of_loss, sum_of_shares
from .initial_net import initial_net
from .loss_arguments import predicted, true
from .losses import LossTerms, no_loss, pose_shape_loss
from .optimisation import DTYPES, Optimisation
from .readout import Readout, readout_loss
from .schedule import Step
from .small_maps import learn_from_small_maps
from .sparse_body import SparseBody


@dataclass(frozen=True)
class _Batch:
    """People and the keypoints (B, 17, 2) and (B, 17) bool given of them."""

    people: RenderedSet
    joints2d: Tensor
    kept: Tensor

    @property
    def visible(self) -> Tensor:
        """(B, 17) bool: keypoints that count in the loss."""
        return self.kept & ~self.people.outside

    def rows(self, rows: slice) -> _Batch:
        return _Batch(self.people[rows], self.joints2d[rows], self.kept[rows])


class Learner:
    """A network, a readout of its features, the running average of its weights, an optimiser.

    Args:
        config: the run.
        body: the whole body.
        device: where to compute.
        ranks: this process among those that share each batch.
    """

    def __init__(self, config: TrainConfig, body: Body, device: torch.device, ranks: Ranks) -> None:
        self.config, self.device, self.ranks = config, device, ranks
        self.whole_body = body
        self.body = SparseBody(body, config.vertex_stride, config.loss_joints)
        self.errors: dict[str, Tensor] = {}
        """This process's share of the mode's errors in the last step whose line is logged."""
        self.dtype = DTYPES[config.precision]
        torch.backends.cudnn.benchmark = True  # pictures of a phase are all of one size
        torch.backends.cudnn.allow_tf32 = False  # what is called fp32 is fp32
        self.net = initial_net(config, body.family).to(device).to(memory_format=torch.channels_last)
        if device.type == "cpu" and not config.compile_encoder:
            learn_from_small_maps(self.net.image_encoder)
        decay = get_ema_multi_avg_fn(config.optimiser.average_decay)
        self.average = AveragedModel(self.net, multi_avg_fn=decay, use_buffers=True)
        self.readout = Readout(self.net.fc1.in_features).to(device)
        parameters = [*self.net.parameters(), *self.readout.parameters()]
        self.optimisation = Optimisation(parameters, config.optimiser, config.precision, device)
        features = self.net.features
        compiled = config.compile_encoder
        self._features = torch.compile(features, dynamic=False) if compiled else features

    def stateful_parts(self) -> dict[str, Stateful]:
        """All that a resumed run must find as it was, by name."""
        return {
            "net": self.net,
            "readout": self.readout,
            "average": self.average,
            "optimiser": self.optimisation.optimiser,
            "scaler": self.optimisation.scaler,
        }

    def take(self, checkpoint: PaperCheckpoint) -> None:
        """Takes over network and optimiser of a checkpoint that fits the network.

        Raises:
            WeightsError: its optimiser's state is of other parameters.
        """
        self.net.load_state_dict(checkpoint.model)
        num_parameters = len(list(self.net.parameters()))
        with one_line_errors(WeightsError, checkpoint.path, "cannot be gone on from"):
            take_optimiser_state(self.optimisation.optimiser, checkpoint.optimiser, num_parameters)

    def begin_phase(self) -> None:
        """Begins a new average: weights of another phase are no part of it."""
        self.average.n_averaged.zero_()

    def learn(self, people: RenderedSet, step: Step, num_steps: int) -> LossTerms:
        """This process's share of the losses of a batch; the network has learnt from all of it.

        Args:
            people: the whole batch, rendered and bare, the same in every process.
            step: its phase, number and seed.
            num_steps: of the whole run.
        """
        generator = torch.Generator(self.device).manual_seed(step.seed)
        batch = self._given(people.to(self.device), generator)
        self.net.train()
        self.optimisation.start(step.number, num_steps)
        measures = (step.number + 1) % self.config.log_every == 0
        self.errors = {}
        shares = [
            self._learn_part(
                batch.rows(part.rows), step.phase, part, part.generator(generator), measures
            )
            for part in self._own_parts(batch)
        ]
        self.ranks.sum_(p.grad for p in self.optimisation.parameters if p.grad is not None)
        self.ranks.average_(b for name, b in self.net.named_buffers() if "running_" in name)
        if self.optimisation.finish(step.number):
            self.average.update_parameters(self.net)
        return sum_of_shares(shares)

    def _given(self, people: RenderedSet, generator: torch.Generator) -> _Batch:
        """The whole batch, some of it mirrored, with the errors of a detector."""
        chosen = Draws(generator).chance(self.config.data.mirrored, len(people))
        people = mirrored(people, chosen)
        noise = self.config.data.keypoint_noise
        return _Batch(people, *detected_keypoints(people, noise, generator))

    def _own_parts(self, batch: _Batch) -> list[BatchPart]:
        """The parts of the batch that this process learns from, one after the other."""
        num_parts = self.config.optimiser.accumulate
        parts = batch_parts(batch.visible, num_parts * self.ranks.size)
        return parts[self.ranks.rank * num_parts :][:num_parts]

    def _learn_part(
        self,
        batch: _Batch,
        phase: PhaseConfig,
        part: BatchPart,
        generator: torch.Generator,
        measures: bool,
    ) -> LossTerms:
        """Adds the gradients of a part of the batch, and its errors; its share of the losses."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features = self._read(batch, phase).float()
        target = true(batch.people, batch.visible, self.body)
        terms = no_loss(self.device)
        if phase.loss.counts:
            output = self.net.decode(features.detach() if phase.detach_heads else features)
            prediction = predicted(
                output, self.body, phase.num_samples, generator, phase.mode_keypoints
            )
            rule = self.config.log_normalizer
            terms = pose_shape_loss(prediction, target, phase.loss, log_normalizer=rule)
            if measures:
                self._add_errors(mode_errors(output, batch.people, self.whole_body), part)
        if phase.readout:
            terms = replace(terms, readout=readout_loss(self.readout(features), target))
        shares = share_of_loss(terms, phase.loss, part)
        self.optimisation.add(shares.total + phase.readout * shares.readout)
        return shares

    def _add_errors(self, errors: dict[str, Tensor], part: BatchPart) -> None:
        """Adds a part's share of the errors of the whole batch."""
        for name, value in errors.items():
            share = part.people_share * value
            self.errors[name] = share + self.errors.get(name, torch.zeros_like(share))

    def _read(self, batch: _Batch, phase: PhaseConfig) -> Tensor:
        """Features of the people of a batch."""
        if phase.lift_only:
            return self.net.keypoint_lift(*places_of_keypoints(batch.joints2d, batch.kept))
        given = batch.people, batch.joints2d, batch.kept
        heatmap_std = self.config.data.proxy.heatmap_std
        return self._features(network_input(*given, phase.stride, self.dtype, heatmap_std))
