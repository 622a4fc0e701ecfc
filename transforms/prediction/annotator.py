"""The stages in their order: from the frames of a batch to people with all their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.transforms.batch.clock import StageClock
from hierprob3d.transforms.batch.isolation import Columns, Failure, People, run_stage
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.inputs.items import Frame

from . import distributions as distribution
from . import refined_bodies as refinement
from . import sampled_bodies as sampling
from .detection import DETECT, KEYPOINTS, detect_people, find_keypoints
from .drawn_pictures import COLOURED, DRAW, NUM_DRAWN_SAMPLES, DrawnPicture, draw_frame
from .proxies import PROXY, make_proxies

DECODE = "decode"


@dataclass
class Batch:
    """What became of some frames."""

    frames: list[Frame]
    people: People
    """Those who came through all stages, with the columns of `transforms.tables.schema`."""

    failures: list[Failure] = field(default_factory=list)
    pictures: list[DrawnPicture] = field(default_factory=list)


class Annotator:
    """Annotates batches of frames, stage by stage; keeps no state between batches.

    Args:
        config: What the run was told.
        models: What computes.
    """

    def __init__(self, config: PredictConfig, models: Models) -> None:
        self.config = config
        self.models = models

    @torch.inference_mode()
    def annotate(self, frames: Sequence[Frame], clock: StageClock) -> Batch:
        """The people of the frames; who or what failed is among the failures.

        Args:
            frames: Decoded frames, or ones with their decoding error.
            clock: Counts the time of each stage.
        """
        failures = [Failure(f.item, None, DECODE, f.error) for f in frames if f.error is not None]
        decoded = [frame for frame in frames if frame.image is not None]
        centre_only = self.config.models.people == "centre"
        with clock.stage(DETECT):
            detections = detect_people(self.models, decoded, centre_only, failures)
        with clock.stage(KEYPOINTS):
            people = find_keypoints(self.models, decoded, detections, failures)
        people = self._describe(people, decoded, clock, failures)
        pictures = self._draw(decoded, people, clock, failures)
        return Batch(list(frames), people, failures, pictures)

    def _describe(
        self, people: People, frames: list[Frame], clock: StageClock, failures: list[Failure]
    ) -> People:
        """The people with distribution, bodies and samples."""
        models, config = self.models, self.config
        images = [frame.image for frame in frames if frame.image is not None]

        def run(stage: str, function: Callable[[People], Columns], *may_be_nan: str) -> None:
            nonlocal people
            with clock.stage(stage):
                people = run_stage(stage, function, people, failures, may_be_nan)

        run(PROXY, lambda some: make_proxies(some, images, models))
        run(
            distribution.DISTRIBUTION,
            lambda some: distribution.predict_distributions(
                some, models.net, config.run.batch_size
            ),
        )
        people.columns.pop(PROXY, None)  # 4.7 MB per person, not needed any more
        run(
            distribution.BODY,
            lambda some: distribution.place_modes(some, models),
            *distribution.MAY_BE_NAN,
        )
        if config.refinement.refine:
            run(
                refinement.REFINE,
                lambda some: refinement.refine_people(
                    some, models, config.refinement.keypoint_error
                ),
                *refinement.MAY_BE_NAN,
            )
        if config.sampling.uncertainty:
            drawn = sampling.ForDrawing(
                num_meshes=NUM_DRAWN_SAMPLES if "samples" in config.run.visualise else 0,
                vertex_spread=bool(COLOURED & config.run.visualise),
            )
            run(
                sampling.SAMPLE,
                lambda some: sampling.sample_bodies(some, models, config.sampling, drawn),
                *sampling.MAY_BE_NAN,
            )
        return people

    def _draw(
        self, frames: list[Frame], people: People, clock: StageClock, failures: list[Failure]
    ) -> list[DrawnPicture]:
        """The pictures asked for; a picture that fails costs its people nothing else."""
        pictures: list[DrawnPicture] = []
        if not self.config.run.visualise or not len(people):
            return pictures
        with clock.stage(DRAW):
            for place in people.columns["frame"].unique().tolist():
                mine = (people.columns["frame"] == place).nonzero().flatten().tolist()
                try:
                    pictures += draw_frame(
                        frames[place], people.select(mine), self.models, self.config.run.visualise
                    )
                except Exception as error:
                    failures.append(Failure(frames[place].item, None, DRAW, error))
        return pictures
