"""Rows of a dataset become rows of metrics on disk: the DoFns of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import cast

import apache_beam as beam
import numpy as np
import pyarrow as pa
import torch

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.transforms.batch.isolation import (
    Columns,
    Failure,
    People,
    call_each,
    run_stage,
    successes,
)
from hierprob3d.transforms.batch.models import use_threads
from hierprob3d.transforms.datasets.eval_item import EvalItem
from hierprob3d.transforms.datasets.labels import EvalDataset, row_id
from hierprob3d.transforms.inputs.items import Item, Shard, shard_name
from hierprob3d.transforms.store.marks import begin_shard
from hierprob3d.transforms.store.output_folder import OutputFolder, part_name
from hierprob3d.transforms.store.plan import Plan, ShardRef
from hierprob3d.transforms.store.publishing_dofn import PublishingDoFn
from hierprob3d.transforms.tables.evaluation_schema import evaluation_schema
from hierprob3d.transforms.tables.rows import Values, errors_table, item_columns, table_of
from hierprob3d.transforms.tables.schema import STATUS_FAILED, STATUS_OK, errors_schema

from .evaluation_models import load_evaluator, open_dataset
from .partial_truth import columns_of_truth
from .totals import Totals, totals_of

LABELS = "labels"
EVALUATE = "evaluate"
MAY_BE_NAN = ("sample_consistency_px",)
"""A row without a confident keypoint has no consistency."""

_PLACE = "place"
"""Column that says which of a batch's rows a person is."""

RowsOf = Callable[[Sequence[EvalItem]], dict[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class EvaluationContext:
    """What every worker must know of the run."""

    run_id: str
    config: EvaluateConfig
    num_threads: int = 1
    """Threads of torch and OpenCV in each process."""


def new_rows(config: EvaluateConfig, dataset: EvalDataset, done: Container[str]) -> Iterator[Shard]:
    """Shards of the rows that are not done, one for each block of `rows_per_shard` rows."""
    size, limit = config.rows_per_shard, config.limit or len(dataset)
    for index, start in enumerate(range(0, min(len(dataset), limit), size)):
        rows = range(start, min(start + size, len(dataset), limit))
        items = [row_item(config, dataset, row) for row in rows]
        if new := tuple(item for item in items if item.item_id not in done):
            yield Shard(index, new)


def row_item(config: EvaluateConfig, dataset: EvalDataset, row: int) -> Item:
    """What plan, error rows and frames call a row of the dataset."""
    split = config.split if config.dataset == "3dpw" else ""
    name = dataset.name(row)
    return Item(row_id(config.rules.name, split, name), name, row)


class EvaluateRows(PublishingDoFn):
    """ShardRef -> Totals of its rows, which lie in the output folder before it is handed on."""

    def __init__(self, context: EvaluationContext) -> None:
        super().__init__(context.config.output, context.run_id)
        self.context = context

    def setup(self) -> None:
        """Loads dataset and models, once per process, and opens the output folder."""
        use_threads(self.context.num_threads)
        self.evaluator = load_evaluator(self.context.config)
        self.dataset = open_dataset(self.context.config)
        super().setup()

    def process(self, ref: ShardRef) -> Iterator[Totals]:
        """Publishes errors and, as the mark of completion, frames."""
        shard = begin_shard(self.store, ref, self.context.run_id)
        frames, errors = evaluate_shard(self.evaluator.rows, self.dataset, shard, self.context)
        self.publish({"errors": errors, "frames": frames}, shard.name)
        yield totals_of(frames, self.context.config.num_hypotheses)


class ListEarlierParts(beam.DoFn):
    """Plan -> names of the frames parts that are there besides those of its own shards."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def process(self, plan: Plan) -> Iterator[str]:
        """Names as `OutputFolder.parts` gives them."""
        numbers = range(plan.first_index, plan.first_index + plan.num_shards)
        mine = {part_name("frames", self.run_id, shard_name(number)) for number in numbers}
        store = OutputFolder(plan.output)
        yield from (name for name in store.parts("frames") if name not in mine)


class ReadTotals(beam.DoFn):
    """Name of a finished frames part -> Totals of its rows."""

    def __init__(self, output: str, num_draws: int) -> None:
        self.output, self.num_draws = output, num_draws

    def setup(self) -> None:
        """Opens the output folder."""
        self.store = OutputFolder(self.output)

    def process(self, name: str) -> Iterator[Totals]:
        """Totals as `EvaluateRows` gave them when the part was made."""
        yield totals_of(self.store.read_part(name), self.num_draws)


def evaluate_shard(
    rows_of: RowsOf, dataset: EvalDataset, shard: Shard, context: EvaluationContext
) -> tuple[pa.Table, pa.Table]:
    """(frames, errors) of a shard; a row that fails takes no other with it.

    Batches begin at multiples of the batch size whatever rows the shard has, so that the numbers
    of a row do not depend on how the dataset was cut.
    """
    config = context.config
    schema = evaluation_schema(config)
    may_be_nan = (*MAY_BE_NAN, *columns_of_truth(config))
    failures: list[Failure] = []
    tables = [schema.empty_table()]
    for _, batch in groupby(
        shard.items, lambda item: cast(int, item.frame_index) // config.batch_size
    ):
        items = list(batch)
        done, given = _evaluate(rows_of, dataset, items, failures, may_be_nan)
        failed = [item for item in items if item not in done.items]
        tables.append(_rows(failed, STATUS_FAILED, context.run_id, schema, None))
        if len(done):
            genders = [item.gender for item in given]
            metrics: dict[str, Values] = {**done.columns, "gender": genders}
            tables.append(_rows(done.items, STATUS_OK, context.run_id, schema, metrics))
    frames = (
        pa.concat_tables(tables).sort_by("frame_index").replace_schema_metadata(schema.metadata)
    )
    return frames, errors_table(failures, errors_schema(), context.run_id)


def _evaluate(
    rows_of: RowsOf,
    dataset: EvalDataset,
    items: Sequence[Item],
    failures: list[Failure],
    may_be_nan: Sequence[str],
) -> tuple[People, list[EvalItem]]:
    """Those of some rows that came through, with their metrics, and what was given of them."""

    def load(item: Item) -> EvalItem:
        item.check_refusal()
        return dataset.load(cast(int, item.frame_index))

    read = call_each(load, items)
    given = successes(LABELS, items, read, failures)
    places = list(given)
    people = People(
        [items[place] for place in places], [0] * len(places), {_PLACE: torch.tensor(places)}
    )

    def metrics(some: People) -> Columns:
        columns = rows_of([given[place] for place in some.columns[_PLACE].tolist()])
        return {name: torch.from_numpy(values) for name, values in columns.items()}

    failed: list[Failure] = []
    done = run_stage(EVALUATE, metrics, people, failed, may_be_nan)
    failures += [replace(failure, person_index=None) for failure in failed]  # a row is one person
    return done, [given[place] for place in places if items[place] in done.items]


def _rows(
    items: Sequence[Item],
    status: str,
    run_id: str,
    schema: pa.Schema,
    metrics: Mapping[str, Values] | None,
) -> pa.Table:
    """Rows that came through with their metrics, or rows of nulls."""
    columns: dict[str, Values] = {
        **item_columns(items),
        "status": [status] * len(items),
        "num_people": [int(status == STATUS_OK)] * len(items),
        "run_id": [run_id] * len(items),
        **(metrics or {}),
    }
    return table_of(columns, schema, nulls_for=len(items) if metrics is None else None)
