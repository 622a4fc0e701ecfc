"""The lift in training: what one batch teaches it."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hierprob3d.configs.lift_training import LiftTrainConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.body.skeleton import NUM_JOINTS
from hierprob3d.model.network.checkpoints import WeightsError, load_distribution_net
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.network.network_config import LiftConfig
from hierprob3d.training.learning.optimisation import DTYPES, Optimisation

from .lift_batch import LiftBatch
from .lift_losses import JointPlaces, body_loss, spread_loss

Losses = dict[str, Tensor]


class LiftLearner:
    """A lift, the running average of its weights, and two optimisers.

    First the bodies are learnt, by all but the layers of `spread`; then how sure they are, by these
    alone on top of the average of the rest.

    Args:
        config: the run.
        body: the body of its truth.
    """

    def __init__(self, config: LiftTrainConfig, body: Body) -> None:
        self.config = config
        self.places = JointPlaces(body)
        self.net = _initial_net(config, body)
        decay = get_ema_multi_avg_fn(config.optimiser.average_decay)
        self.average = AveragedModel(self.net, multi_avg_fn=decay)
        device = torch.device("cpu")
        self.average.requires_grad_(False)
        spread = list(self.finished.spread.requires_grad_(True).parameters())
        of_spread = set(map(id, self.net.spread.parameters()))
        rest = [p for p in self.net.parameters() if id(p) not in of_spread]
        self._bodies = Optimisation(rest, config.optimiser, "fp32", device)
        self._spread = Optimisation(spread, config.spread_optimiser, "fp32", device)

    @property
    def finished(self) -> LiftNet:
        """The network to keep: the average."""
        return cast(LiftNet, self.average.module).eval()

    def stateful_parts(self) -> dict[str, Any]:
        """All that a resumed run must find as it was, by name."""
        return {
            "net": self.net,
            "average": self.average,
            "bodies_optimiser": self._bodies.optimiser,
            "spread_optimiser": self._spread.optimiser,
        }

    def learn_bodies(self, batch: LiftBatch, step: int) -> Losses:
        """One step of `config.steps`."""
        self._bodies.start(step, self.config.steps)
        dtype = DTYPES[self.config.precision]
        numbers, frame = batch.seen.numbers()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            features = self.net.features(numbers)
        body = self.net.estimate(features.float(), frame)
        losses = body_loss(body, frame, batch, self.places)
        self._bodies.add(losses.total)
        if self._bodies.finish(step):
            self.average.update_parameters(self.net)
        return {name: value.detach() for name, value in vars(losses).items()}

    def learn_spread(self, batch: LiftBatch, step: int) -> Losses:
        """One step of `config.spread_steps`, counted from 0."""
        self._spread.start(step, self.config.spread_steps)
        pose, shape = spread_loss(self.finished(batch.seen), batch)
        self._spread.add(pose + shape)
        self._spread.finish(step)
        return {"pose_nll": pose.detach(), "shape_nll": shape.detach()}


def _initial_net(config: LiftTrainConfig, body: Body) -> LiftNet:
    torch.manual_seed(config.seed)
    net = LiftNet(LiftConfig(width=config.width, blocks=config.blocks, doubt=True))
    if config.initial_weights is not None:
        theirs = load_distribution_net(config.initial_weights)
        sizes = (config.width, config.blocks)
        if not isinstance(theirs, LiftNet) or (theirs.config.width, theirs.config.blocks) != sizes:
            raise WeightsError(
                f"initial_weights={config.initial_weights} are no lift of width {config.width} "
                f"with {config.blocks} blocks: choose others, or none"
            )
        known, wanted = theirs.state_dict(), net.state_dict()
        fitting = {name: v for name, v in known.items() if v.shape == wanted[name].shape}
        net.load_state_dict({**wanted, **fitting})
        nn.init.ones_(net.temperatures)
    with torch.no_grad():
        net.rest_pelvis.copy_(body.joint_template[0])
        net.pelvis_by_betas.copy_(body.joint_shapedirs.unflatten(-1, (NUM_JOINTS, 3))[:, 0])
    return net
