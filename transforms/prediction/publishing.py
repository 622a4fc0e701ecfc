"""Stage `publish`: the batches of a shard become its parts of the tables and its pictures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.transforms.batch.batches import Batch, DrawnPicture
from hierprob3d.transforms.batch.isolation import Failure
from hierprob3d.transforms.store.output_folder import PICTURES, TABLES, OutputFolder
from hierprob3d.transforms.tables.rows import concatenate, errors_table, frames_table, people_table
from hierprob3d.transforms.tables.schema import (
    STAGE_SECONDS,
    PeopleLayout,
    errors_schema,
    frames_schema,
    people_schema,
)

from .stages import DRAW


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

    num_processes: int = 1
    """Worker processes that share the memory of a machine."""

    may_exit: bool = False
    """Whether the work is done in processes that may end without the run."""

    may_divide: bool = False
    """Whether a shard that takes long may be published in several parts: not where an engine does
    shards again, and would divide them otherwise."""

    restart_words: tuple[str, ...] = ()
    """Where it is done in the command's own process: what begins the command anew."""


MOST_SECONDS = 300.0
"""Work that is lost with a machine at the most, and one batch: what took longer is published."""


class ShardTables:
    """The rows of a shard, gathered batch by batch; pictures are written as they come.

    Args:
        store: The output folder.
        context: The run.
    """

    def __init__(self, store: OutputFolder, context: RunContext) -> None:
        self._store = store
        self._context = context
        self._metadata = dict(context.body_metadata)
        self._parts: dict[str, list[pa.Table]] = {table: [] for table in TABLES}
        self._seconds: Counter[str] = Counter()
        self._first_batch = 0

    def add(self, batch: Batch) -> None:
        """Writes the batch's pictures and keeps its rows."""
        self._metadata |= batch.body_metadata
        run_id, seed = self._context.run_id, self._context.config.sampling.seed
        failures = [*batch.failures, *self._publish_pictures(batch)]
        rows = {
            "people": people_table(batch.people, self._people_schema(), seed, run_id),
            "errors": errors_table(failures, errors_schema(), run_id),
            "frames": frames_table(
                batch.frames, batch.people, batch.failures, batch.clock.total,
                frames_schema(), run_id,
            ),
        }  # fmt: skip
        for table, content in rows.items():
            self._parts[table].append(content)
        self._seconds.update(batch.clock.seconds)
        if len(self._parts["frames"]) == 1:
            self._first_batch = batch.number

    @property
    def is_due(self) -> bool:
        """Whether what it holds is to be published before the shard is complete."""
        return self._context.may_divide and self._seconds.total() >= MOST_SECONDS

    def piece_name(self, shard: str) -> str:
        """Of what it holds, in place of the shard's, as long as that is not complete."""
        return f"{shard}{self._first_batch:05d}"

    def tables(self) -> dict[str, pa.Table]:
        """All rows of the shard, by table."""
        timing = {STAGE_SECONDS: json.dumps(self._seconds)}
        schemas = {
            "people": self._people_schema(),
            "errors": errors_schema(),
            "frames": frames_schema(timing),
        }
        return {name: concatenate(self._parts[name], schemas[name]) for name in TABLES}

    def _people_schema(self) -> pa.Schema:
        return people_schema(self._context.layout, self._metadata)

    def _publish_pictures(self, batch: Batch) -> list[Failure]:
        found = map(self._publish_picture, batch.pictures)
        return [failure for failure in found if failure is not None]

    def _publish_picture(self, picture: DrawnPicture) -> Failure | None:
        """Writes a picture; its failure, which costs the results nothing else."""
        try:
            self._store.write(f"{PICTURES}/{picture.name}", picture.data)
        except Exception as error:  # file systems of fsspec raise errors of their own kinds
            return Failure(picture.item, None, DRAW.name, error)
        return None
