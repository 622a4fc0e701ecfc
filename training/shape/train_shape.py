"""Train the network of shapes; people seen by an earlier run of the same command are used again."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hierprob3d.configs.loading import build_config, read_settings, stored_settings
from hierprob3d.configs.shape_training import ShapeCommandConfig, ShapeTrainConfig
from hierprob3d.model.body.measurements import BodyMeasurer
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.body.skeleton import MEASUREMENT_NAMES
from hierprob3d.model.estimate.distribution_metrics import shape_central_probability
from hierprob3d.model.estimate.metrics import point_errors
from hierprob3d.model.network.checkpoints import sha256_of
from hierprob3d.model.network.shape_net import (
    Shape,
    ShapeNet,
    mirrored_keypoints,
    save_shape_net,
    shape_numbers,
)
from hierprob3d.model.people.body_widths import mirrored_widths
from hierprob3d.training.learning.optimisation import Optimisation
from hierprob3d.training.provenance import code_version
from hierprob3d.training.random.draws import Draws, seeded_generator

from .outlined_people import MovedWidths, OutlinedPeople, ShapeBatch, exact, outlined_people
from .seen_people import SeenPeople, load_seen, see_people

SEEN, CALIBRATION = "seen", "calibration"
"""Folders of a run with what BlazePose saw of rendered people, and of those held back."""

WEIGHTS = "shape_net.safetensors"

_OUTLINES, _STEPS = 1, 2
"""Streams of the run's seed."""
_SQUARES = 0.5
"""Weight of the squared error beside the likelihood: means are learnt before spreads."""
_REGION = 0.8
_DEVIATIONS = 1.2816
"""Standard deviations to either side of a normal distribution's mean that hold _REGION of it."""
_LOG_EVERY = 500

_logger = logging.getLogger(__name__)


def run(config: ShapeCommandConfig) -> int:
    """Trains; exit code 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    layers = [read_settings(config.config)] if config.config else []
    training = build_config(ShapeTrainConfig, layers, config.settings)
    train_shape(training, Path(config.experiment))
    return 0


def train_shape(config: ShapeTrainConfig, folder: Path) -> dict[str, Any]:
    """Sees people, trains, fits the spread, and writes the weights.

    Returns:
        How good it is on held-back people: see `judged`.

    Raises:
        FileNotFoundError: poses or backgrounds are missing.
        ValueError: the poses are no poses, or an earlier run saw other people.
        OSError: a file cannot be written.
    """
    torch.set_num_threads(config.num_threads)
    held_back_people = _people(folder / CALIBRATION, config, config.num_calibrated, True)
    seen = _people(folder / SEEN, config, config.num_seen, False)
    started = time.monotonic()
    outlines = outlined_people(config, Draws(seeded_generator("cpu", config.seed, _OUTLINES)))
    net = _trained(config, seen, outlines)
    fit_temperatures(net, held_back_people)
    body = load_body("open")
    validation = judged(net, held_back_people, body)
    _logger.info("%s", validation)
    minutes = round((time.monotonic() - started) / 60, 1)
    counts = {"seen": len(seen), "outlines": len(outlines), "calibrated": len(held_back_people)}
    settings = stored_settings(config)
    for name in ("train_poses", "backgrounds"):
        settings[name] = settings[name] and Path(settings[name]).name
    notes = {
        "body_family": body.family, "code": code_version(), "config": settings,
        "poses_sha256": sha256_of(config.train_poses), "people": counts, "minutes": minutes,
        "validation": validation,
    }  # fmt: skip
    save_shape_net(net, folder / WEIGHTS, notes)
    return validation


def _people(folder: Path, config: ShapeTrainConfig, num: int, only_held_back: bool) -> SeenPeople:
    """Those of a folder, whom BlazePose sees now where it has not yet; see `see_people`."""
    for _ in see_people(folder, config, num, only_held_back):
        pass
    return load_seen(folder)


@torch.no_grad()
def fit_temperatures(net: ShapeNet, people: SeenPeople) -> None:
    """Lets 80 % intervals hold 80 % of the people's betas, each beta for itself."""
    net.temperatures.fill_(1.0)
    mean, std = net(people.widths, people.keypoints)
    needed = ((people.betas - mean).abs() / std).quantile(_REGION, dim=0)
    net.temperatures.copy_(needed / _DEVIATIONS)


@torch.no_grad()
def judged(net: ShapeNet, people: SeenPeople, body: Body) -> dict[str, Any]:
    """How good the network is on people.

    Returns:
        `PVE-T-SC` in mm, and that of the mean shape; `R2`, what it explains of the variance of each
        beta; `inside-80%`, the shares of betas and measurements within their 80 % intervals.
    """
    shape = net(people.widths, people.keypoints)
    truth = people.betas
    explained = 1 - (shape.mean - truth).square().mean(0) / truth.var(0)
    measurer = BodyMeasurer(body)
    values, stds = measurer.measure_distribution(shape.mean, shape.std)
    within = {
        "betas": _inside(shape.mean, shape.std, truth).mean(),
        **dict(zip(MEASUREMENT_NAMES, _inside(values, stds, measurer.measure(truth)), strict=True)),
    }
    return {
        "people": len(people),
        "PVE-T-SC": round(_shape_errors(body, shape.mean, truth), 2),
        "PVE-T-SC-naive": round(_shape_errors(body, torch.zeros_like(truth), truth), 2),
        "R2": [round(value, 3) for value in explained.tolist()],
        "inside-80%": {name: round(float(share), 3) for name, share in within.items()},
    }


def _inside(mean: Tensor, std: Tensor, truth: Tensor) -> Tensor:
    """(K,) shares of truths (B, K) within the 80 % intervals of normal distributions."""
    return (shape_central_probability(mean, std, truth) <= _REGION).float().mean(0)


def _shape_errors(body: Body, betas: Tensor, truth: Tensor) -> float:
    """Mean distance of vertices in T-pose after their sizes are made the same, mm."""
    errors = [
        point_errors(body.shape(mine).vertices, body.shape(true).vertices, ["scale"])[:, 0].mean(-1)
        for mine, true in zip(betas.split(64), truth.split(64), strict=True)
    ]
    return 1000 * float(torch.cat(errors).mean())


def _trained(config: ShapeTrainConfig, seen: SeenPeople, outlines: OutlinedPeople) -> ShapeNet:
    torch.manual_seed(config.seed)
    net = ShapeNet(config.dropout).train()
    bank = MovedWidths(seen)
    usual = shape_numbers(bank.people.widths, bank.people.keypoints)
    net.centre.copy_(usual.mean(0))
    net.spread.copy_(usual.std(0).clamp_min(0.05))
    optimisation = Optimisation(net.parameters(), config.optimiser, "fp32", torch.device("cpu"))
    draws = Draws(seeded_generator("cpu", config.seed, _STEPS))
    for step in range(config.steps):
        optimisation.start(step, config.steps)
        batch = _batch(config, bank, outlines, draws)
        mean, log_std = net.answer(shape_numbers(batch.widths, batch.keypoints))
        loss = _loss(Shape(mean, log_std.exp()), batch.betas)
        optimisation.add(loss)
        optimisation.finish(step)
        if (step + 1) % _LOG_EVERY == 0:
            _logger.info("step %d of %d, loss %.3f", step + 1, config.steps, loss.item())
    return net.eval()


def _loss(shape: Shape, truth: Tensor) -> Tensor:
    squared = (truth - shape.mean).square()
    likelihood = squared / (2 * shape.std.square()) + shape.std.log()
    return (likelihood + _SQUARES * squared).mean()


def _batch(
    config: ShapeTrainConfig, bank: MovedWidths, outlines: OutlinedPeople, draws: Draws
) -> ShapeBatch:
    num = config.optimiser.batch_size
    num_seen, num_exact = int(config.seen_share * num), int(config.exact_share * num)
    others = outlines[draws.below(len(outlines), num - num_seen)]
    whole_batch = ShapeBatch.joined(
        bank.themselves(draws, num_seen),
        bank.moved(others[torch.arange(num_exact, len(others))], draws),
        exact(others[torch.arange(num_exact)]),
    )
    flipped = draws.chance(0.5, num)
    image = mirrored_keypoints(whole_batch.keypoints)
    return ShapeBatch(
        torch.where(flipped[:, None], mirrored_widths(whole_batch.widths), whole_batch.widths),
        torch.where(flipped[:, None, None], image, whole_batch.keypoints),
        whole_batch.betas,
    )
