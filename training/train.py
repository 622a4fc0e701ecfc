"""The training loop: rendered people in, weights out, resumable at any step."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from configs.training import PhaseConfig, TrainConfig
from model.body import load_body
from model.checkpoints import save_distribution_net, save_paper_checkpoint
from model.network import DistributionNet, NetworkConfig
from training.augmentation import detected_keypoints, mirrored, network_input
from training.bodies import predicted, true
from training.losses import LossTerms, pose_shape_loss
from training.readout import Readout, readout_loss
from training.rendered_set import RenderedSet, load_rendered_set, render_set
from training.run_state import BestWeights, RunState, Stateful, is_better
from training.sparse_body import SparseBody
from training.validation import Validator, mean_pose, weights_metadata

_FREE_ON_RESUME = ("device", "num_threads", "save_every", "log_every", "epochs_per_checkpoint")
"""Settings of which a resumed run may change: they do not decide what is learned."""

_SELECTION_METRIC = "MPJPE-PA"

_logger = logging.getLogger(__name__)


class Trainer:
    """One training run in a folder.

    Order, noise and mirror images of a step are drawn from generators seeded with the step, so a
    resumed run repeats an undisturbed one without any saved generator.

    Args:
        config: the run.
        folder: its folder; rendered pictures, states, logs and weights go there.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.device = torch.device(_resolve_device(config.device))
        self.dtype = torch.bfloat16
        torch.manual_seed(config.seed)
        network = NetworkConfig(
            num_layers=config.num_layers,
            sign_rule=config.sign_rule,
            input_stride=config.input_stride,
            global_spread=config.global_spread,
        )
        self.net = DistributionNet(network).to(self.device)
        self.net.to(memory_format=torch.channels_last)
        decay = get_ema_multi_avg_fn(config.optimiser.average_decay)
        self.average = AveragedModel(self.net, multi_avg_fn=decay, use_buffers=True)
        self.readout = Readout(self.net.fc1.in_features).to(self.device)
        self.parameters = [*self.net.parameters(), *self.readout.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, config.optimiser.lr, weight_decay=config.optimiser.weight_decay
        )
        self.whole_body = load_body(config.data.body_model).to(self.device)
        self.body = SparseBody(self.whole_body)
        identity = {k: v for k, v in asdict(config).items() if k not in _FREE_ON_RESUME}
        self.state = RunState(folder / "state.pt", identity)

    def run(self) -> None:
        """Renders what is missing, trains what is left; writes weights, checkpoints and log."""
        render_missing(self.config, self.folder, self.device)
        people = load_rendered_set(self.folder / "train", self.config.data.num_shards)
        val_people = load_rendered_set(self.folder / "val", self.config.data.num_val_shards)
        validator = Validator(self.whole_body, self.config, mean_pose(people))
        batch_size = self.config.optimiser.batch_size
        if len(people) < batch_size:
            raise ValueError(f"{len(people)} pictures are fewer than one batch of {batch_size}")
        steps_per_epoch = len(people) // batch_size
        epochs = [phase for phase in self.config.phases for _ in range(phase.epochs)]
        total = len(epochs) * steps_per_epoch
        step = self.state.restore(self._learners())
        started, first = time.monotonic(), step
        while step < total:
            epoch, within = divmod(step, steps_per_epoch)
            if within == 0 and epoch > 0 and epochs[epoch] != epochs[epoch - 1]:
                self.average.n_averaged.zero_()  # weights of another phase are no part of it
            if within == 0 or step == first:
                order = self._order(epoch, len(people))
            chosen = order[within * batch_size :][:batch_size]
            terms = self._step(people[chosen], step, total, epochs[epoch])
            step += 1
            if step % self.config.log_every == 0:
                rate = (step - first) / (time.monotonic() - started)
                self.state.log(_log_line(terms, step, total, rate, batch_size))
            if step % steps_per_epoch == 0:
                is_last = step == total
                self._finish_epoch(epoch, epochs[epoch], validator, val_people, is_last)
            if step % self.config.save_every == 0 or step == total:
                self.state.save(step, self._learners())

    def _learners(self) -> dict[str, Stateful]:
        """All that a resumed run must find as it was."""
        return {
            "net": self.net,
            "readout": self.readout,
            "average": self.average,
            "optimiser": self.optimiser,
        }

    def _order(self, epoch: int, num: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        return torch.randperm(num, generator=generator)

    def _step(self, people: RenderedSet, step: int, total: int, phase: PhaseConfig) -> LossTerms:
        seed = (self.config.seed + 1) * 1_000_003 + step
        generator = torch.Generator(self.device).manual_seed(seed)
        people = people.to(self.device)
        chosen = torch.rand(len(people), generator=generator, device=self.device) < 0.5
        people = mirrored(people, chosen)
        noise = self.config.data.keypoint_noise
        joints2d, kept = detected_keypoints(people, noise, generator)
        proxy = network_input(people, joints2d, kept, phase.stride, self.dtype)
        self.net.train()
        with torch.autocast(self.device.type, self.dtype):
            features = self.net.image_encoder(proxy).float()
        output = self.net.decode(features.detach() if phase.detach_heads else features)
        prediction = predicted(output, self.body, phase.num_samples, generator)
        target = true(people, kept & ~people.outside, self.body)
        terms = pose_shape_loss(prediction, target, phase.loss)
        loss = terms.total
        if phase.readout:
            loss = loss + phase.readout * readout_loss(self.readout(features), target)
        self._descend(loss, step, total)
        return terms

    def _descend(self, loss: Tensor, step: int, total: int) -> None:
        """One step of the optimiser, left out where loss or gradient is not finite."""
        optimiser = self.config.optimiser
        warm = min(1.0, (step + 1) / optimiser.warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * step / total))
        fall = optimiser.final_lr_ratio + (1 - optimiser.final_lr_ratio) * fall
        for group in self.optimiser.param_groups:
            group["lr"] = optimiser.lr * warm * fall
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, optimiser.max_gradient_norm)
        if not torch.isfinite(norm):
            _logger.warning("step %d left out: its gradient is not finite", step)
            return
        self.optimiser.step()
        self.average.update_parameters(self.net)

    def _finish_epoch(
        self,
        epoch: int,
        phase: PhaseConfig,
        validator: Validator,
        val_people: RenderedSet,
        is_last: bool,
    ) -> None:
        """Validates the averaged weights and keeps them if they are the best."""
        averaged = cast(DistributionNet, self.average.module)
        metrics = validator.validate(averaged, val_people, phase.stride)
        self.state.log({"epoch": epoch, "stride": phase.stride, **metrics})
        # A coarser input than the network's own is only a warm-up: finer weights replace it.
        score = (float(phase.stride), metrics[_SELECTION_METRIC])
        if is_better(score, self.state.best):
            weights = {k: v.detach().cpu().clone() for k, v in averaged.state_dict().items()}
            self.state.best = BestWeights(epoch, score, metrics, weights)
            metadata = weights_metadata(self.config, self.folder, epoch, metrics)
            save_distribution_net(averaged, self.folder / "weights", metadata)
        if (epoch + 1) % self.config.epochs_per_checkpoint == 0 or is_last:
            self._save_paper_checkpoint(epoch)

    def _save_paper_checkpoint(self, epoch: int) -> None:
        """Writes checkpoints/epoch_NNN.tar in the layout of the paper's code."""
        best = self.state.best
        if best is None:
            _logger.warning("no checkpoint of epoch %d: every validation gave NaN so far", epoch)
            return
        save_paper_checkpoint(
            self.folder / "checkpoints" / f"epoch_{epoch:03d}.tar",
            metadata=weights_metadata(self.config, self.folder, best.epoch, best.metrics),
            epoch=epoch,
            model_state=self.net.state_dict(),
            best_epoch=best.epoch,
            best_metrics=best.metrics,
            best_state=best.weights,
            optimiser_state=self.optimiser.state_dict(),
        )


def train(config: TrainConfig, folder: str | Path) -> None:
    """Runs or resumes the training of `config` in `folder`.

    Raises:
        ValueError: the folder holds a run with another configuration.
        FileNotFoundError: poses or backgrounds are missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.num_threads)
    Trainer(config, folder).run()


def render_missing(config: TrainConfig, folder: Path, device: torch.device | str = "cpu") -> None:
    """Renders the shards of both sets that are not there yet."""
    data = config.data
    validation_seed, training_seed = config.seed + 1, config.seed
    sets = (
        ("val", data.val_poses, data.num_val_shards, validation_seed),
        ("train", data.train_poses, data.num_shards, training_seed),
    )
    for name, poses, _, _ in sets:
        if not Path(poses).is_file():
            raise FileNotFoundError(
                f"no pose file {poses!r}; pass data.{name}_poses=FILE.npz with poses (N, 72)"
            )
    for name, poses, num_shards, seed in sets:
        render_set(folder / name, data, poses, num_shards, seed, str(device))


def _resolve_device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _log_line(
    terms: LossTerms, step: int, total: int, rate: float, batch_size: int
) -> dict[str, float]:
    values = {name: round(value.item(), 4) for name, value in vars(terms).items()}
    remaining = (total - step) / rate / 60
    return {
        "step": step, "of": total, "samples_per_s": round(rate * batch_size, 1),
        "minutes_left": round(remaining, 1), **values,
    }  # fmt: skip
