"""The stages between decoding and publishing, in their order and without Beam.

Each takes a batch, adds what it finds to it, and notes as failures whom it could not handle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.model.network.lift_net import LiftNet
from hierprob3d.model.picture.rasterizer import rasterizing_by
from hierprob3d.transforms.batch.batches import Batch
from hierprob3d.transforms.batch.isolation import call_each, successes
from hierprob3d.transforms.batch.models import (
    BodyModels,
    Models,
    body_identity,
    load_models_of,
)

from . import distributions, lift_inputs, refined_bodies, sampled_bodies
from .detection import detect_people, find_keypoints
from .drawn_pictures import COLOURED, NUM_DRAWN_SAMPLES, DrawnPicture, draw_frame
from .known_shapes import with_known_shapes
from .proxies import EDGES, PROXY, edges_of, make_proxies


def _always(config: PredictConfig) -> bool:
    return True


@dataclass(frozen=True)
class Stage:
    """One step of the way from a frame to its people's rows."""

    name: str
    """In error rows and in the times of a run."""

    function: Callable[[Batch, Models, PredictConfig], None]
    wanted: Callable[[PredictConfig], bool] = _always

    @torch.inference_mode()
    def run(self, batch: Batch, models: Models, config: PredictConfig) -> None:
        """Adds to the batch; its time counts for the stage."""
        if batch.gender is not None:
            models = load_models_of(config.models, batch.gender)
        with batch.clock.stage(self.name, models.device):
            self.function(batch, models, config)


def _detect(batch: Batch, models: Models, config: PredictConfig) -> None:
    centre_only = config.models.people == "centre"
    detect_people(batch, models, centre_only)


def _find_keypoints(batch: Batch, models: Models, config: PredictConfig) -> None:
    find_keypoints(batch, models)


def _make_proxies(batch: Batch, models: Models, config: PredictConfig) -> None:
    if isinstance(models.net, LiftNet):
        batch.add(
            PROXY, lambda some: lift_inputs.lift_columns(some, models), lift_inputs.MAY_BE_NAN
        )
        if "figure" not in config.run.visualise:  # which shows what other weights would see
            return
    images = batch.images
    batch.add(PROXY, lambda some: make_proxies(some, images, models))


def _predict(batch: Batch, models: Models, config: PredictConfig) -> None:
    size = config.run.batch_size
    batch.add(
        distributions.DISTRIBUTION,
        lambda some: with_known_shapes(
            some,
            distributions.predict_distributions(some, models.net, size),
            models,
            config.source.known_height,
        ),
    )
    proxy = batch.people.columns.pop(PROXY, None)  # 4.7 MB per person, not needed any more
    if proxy is not None and "figure" in config.run.visualise:
        batch.people.columns[EDGES] = edges_of(proxy)


def _place(batch: Batch, models: Models, config: PredictConfig) -> None:
    if batch.gender is not None:
        batch.body_metadata = body_identity(config.models, models.body)
    frames, focal_px = batch.decoded, config.source.focal_length
    intersections = "intersections" in config.sampling.save
    batch.add(
        distributions.BODY,
        lambda some: distributions.place_modes(some, frames, models, focal_px, intersections),
        distributions.MAY_BE_NAN,
    )


def _refine(batch: Batch, models: Models, config: PredictConfig) -> None:
    error = config.refinement.keypoint_error
    batch.add(
        refined_bodies.REFINE,
        lambda some: refined_bodies.refine_people(some, models, error),
        refined_bodies.MAY_BE_NAN,
    )


def sample_batch(batch: Batch, models: BodyModels, config: PredictConfig) -> None:
    """Samples of everybody, as far as the run keeps or draws anything of them."""
    drawn = sampled_bodies.ForDrawing(
        num_meshes=NUM_DRAWN_SAMPLES if "samples" in config.run.visualise else 0,
        vertex_spread=bool(COLOURED & config.run.visualise),
    )
    batch.add(
        sampled_bodies.SAMPLE,
        lambda some: sampled_bodies.sample_bodies(some, models, config.sampling, drawn),
        sampled_bodies.MAY_BE_NAN,
    )


def draw_batch(batch: Batch, models: BodyModels, config: PredictConfig) -> None:
    """Pictures frame by frame; one that fails costs its people nothing else."""
    frames = batch.decoded
    if not len(batch.people):
        return
    of_person = batch.people.columns["frame"]

    def drawn(place: int) -> list[DrawnPicture]:
        mine = batch.people.select((of_person == place).nonzero().flatten().tolist())
        with rasterizing_by(config.run.renderer):
            return draw_frame(frames[place], mine, models, config.run)

    places = of_person.unique().tolist()
    found = call_each(drawn, places)
    items = [frames[place].item for place in places]
    for pictures in successes(DRAW.name, items, found, batch.failures).values():
        batch.pictures += pictures


DETECT = Stage("detect", _detect)
KEYPOINTS = Stage("keypoints", _find_keypoints)
PROXIES = Stage(PROXY, _make_proxies)
DISTRIBUTIONS = Stage(distributions.DISTRIBUTION, _predict)
BODIES = Stage(distributions.BODY, _place)
REFINED = Stage(refined_bodies.REFINE, _refine, lambda config: config.refinement.refine)
SAMPLES = Stage(sampled_bodies.SAMPLE, sample_batch, lambda config: config.sampling.uncertainty)
DRAW = Stage("draw", draw_batch, lambda config: bool(config.run.visualise))

STAGES = (DETECT, KEYPOINTS, PROXIES, DISTRIBUTIONS, BODIES, REFINED, SAMPLES, DRAW)
"""All of them, in the order in which a batch goes through those that a run wants."""


def wanted_stages(config: PredictConfig) -> tuple[Stage, ...]:
    """The stages that a run has."""
    return tuple(stage for stage in STAGES if stage.wanted(config))
