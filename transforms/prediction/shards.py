"""Shards become rows, and rows become files: the DoFns of prediction, thin around `Annotator`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import apache_beam as beam
import pyarrow as pa

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.transforms.batch.clock import StageClock
from hierprob3d.transforms.batch.isolation import Failure
from hierprob3d.transforms.batch.models import load_models, use_threads
from hierprob3d.transforms.inputs.decoding import group_frames, read_shard
from hierprob3d.transforms.inputs.items import Frame, Shard
from hierprob3d.transforms.store.output_folder import PICTURES, TABLES, OutputFolder, part_name
from hierprob3d.transforms.tables.rows import concatenate, errors_table, frames_table, people_table
from hierprob3d.transforms.tables.schema import (
    STAGE_SECONDS,
    PeopleLayout,
    errors_schema,
    frames_schema,
    people_schema,
)

from .annotator import DECODE, Annotator
from .drawn_pictures import DRAW, DrawnPicture

_BATCH_MEGAPIXELS = 64.0
"""Pixels of the frames of a batch together, about 200 MB."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What every worker must know of the run."""

    run_id: str
    config: PredictConfig
    layout: PeopleLayout
    body_metadata: dict[str, str]
    """Of the people parts, see `schema.file_metadata`."""

    num_threads: int = 1
    """Threads of torch and OpenCV in each process."""


@dataclass
class ShardResult:
    """All that one shard publishes."""

    name: str
    tables: dict[str, pa.Table]
    pictures: list[DrawnPicture] = field(default_factory=list)


class PredictShards(beam.PTransform):
    """Shards in, numbers of published frames out; results are in the output folder.

    Args:
        context: The run.
    """

    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def expand(self, shards: beam.PCollection[Shard]) -> beam.PCollection[int]:
        """Annotates and publishes, fused: what is finished is on disk at once."""
        return (
            shards
            | "Annotate" >> beam.ParDo(AnnotateShard(self.context))
            | "Publish" >> beam.ParDo(PublishShard(self.context))
        )


class AnnotateShard(beam.DoFn):
    """Shard -> ShardResult."""

    def __init__(self, context: RunContext) -> None:
        self.context = context

    def setup(self) -> None:
        """Loads the models, once per process."""
        use_threads(self.context.num_threads)
        config = self.context.config
        self.annotator = Annotator(config, load_models(config.models))

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        """All results of one shard."""
        yield annotate_shard(self.annotator, shard, self.context)


class PublishShard(beam.DoFn):
    """ShardResult -> number of frames; the files are written before it is handed on."""

    def __init__(self, context: RunContext) -> None:
        self.context = context

    def setup(self) -> None:
        """Opens the output folder; as long as this process lives, it is in use."""
        self.store = OutputFolder(self.context.config.run.output)
        self.lock = self.store.lock_for_worker()

    def teardown(self) -> None:
        """Lets go of the folder."""
        if self.lock is not None:
            self.lock.release()

    def process(self, result: ShardResult) -> Iterator[int]:
        """Publishes pictures, people, errors and, as the mark of completion, frames."""
        failures = [failure for one in result.pictures if (failure := self._publish_picture(one))]
        errors = errors_table(failures, errors_schema(), self.context.run_id)
        result.tables["errors"] = concatenate([result.tables["errors"], errors], errors_schema())
        for table in TABLES:
            name = part_name(table, self.context.run_id, result.name)
            self.store.write_table(name, result.tables[table])
        yield result.tables["frames"].num_rows

    def _publish_picture(self, picture: DrawnPicture) -> Failure | None:
        """Writes a picture; its failure, which costs the results nothing else."""
        try:
            self.store.write(f"{PICTURES}/{picture.name}", picture.jpeg)
        except Exception as error:  # file systems of fsspec raise errors of their own kinds
            return Failure(picture.item, None, DRAW, error)
        return None


def annotate_shard(annotator: Annotator, shard: Shard, context: RunContext) -> ShardResult:
    """The shard's tables, made batch by batch, so that memory holds one batch of pictures."""
    run_id, config = context.run_id, context.config
    schema = people_schema(context.layout, context.body_metadata)
    tables: dict[str, list[pa.Table]] = {table: [] for table in TABLES}
    result = ShardResult(shard.name, {})
    clock = StageClock(annotator.models.device)
    frames = read_shard(shard, config.source.max_megapixels)
    batches = group_frames(frames, config.run.batch_size, _BATCH_MEGAPIXELS)
    before = 0.0
    for batch_frames in _timed(batches, clock):
        batch = annotator.annotate(batch_frames, clock)
        seconds, before = sum(clock.seconds.values()) - before, sum(clock.seconds.values())
        tables["people"].append(people_table(batch.people, schema, config.sampling.seed, run_id))
        tables["errors"].append(errors_table(batch.failures, errors_schema(), run_id))
        tables["frames"].append(
            frames_table(
                batch.frames, batch.people, batch.failures, seconds, frames_schema(), run_id
            )
        )
        result.pictures += batch.pictures
    timing = {STAGE_SECONDS: json.dumps(clock.seconds)}
    schemas = {"people": schema, "errors": errors_schema(), "frames": frames_schema(timing)}
    result.tables = {name: concatenate(tables[name], schemas[name]) for name in TABLES}
    return result


def _timed(batches: Iterable[list[Frame]], clock: StageClock) -> Iterator[list[Frame]]:
    """The batches; the time to read and decode them counts for stage `decode`."""
    iterator = iter(batches)
    while True:
        with clock.stage(DECODE):
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch
