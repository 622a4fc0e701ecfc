"""A run's shards in one process: what the DoFns do one after the other, without Beam.

A few pictures are annotated in the command's own process; the runner, which takes a second and
100 MB to load, would only hand each shard to the same stages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hierprob3d.transforms.batch.item_watch import ItemWatch
from hierprob3d.transforms.batch.memory import decode_budget_bytes
from hierprob3d.transforms.batch.models import load_models, use_threads
from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.store.marks import Mark, begin_shard, write_mark
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan, shard_refs
from hierprob3d.transforms.store.shard_publisher import ShardPublisher

from .decoding import FrameReader
from .publishing import RunContext, ShardTables
from .stages import wanted_stages


def annotate_shards(plan: Plan, context: RunContext) -> None:
    """Annotates and publishes all shards of a plan, one after the other."""
    config = context.config
    use_threads(context.num_threads)
    models, stages, watch = load_models(config.models), wanted_stages(config), item_watch(context)
    reader = frame_reader(context, watch)
    with ShardPublisher(config.run.output, context.run_id) as publisher:
        for ref in shard_refs(publisher.store, plan):
            shard = begin_shard(publisher.store, ref, context.run_id)
            tables = ShardTables(publisher.store, context)
            for batch in reader.batches(shard, config.run.batch_size):
                for stage in stages:
                    with watch.watching([frame.item for frame in batch.decoded], batch.shard):
                        stage.run(batch, models, config)
                tables.add(batch)
                if tables.is_due and not batch.is_last:
                    publisher.publish(tables.tables(), tables.piece_name(shard.name))
                    tables = ShardTables(publisher.store, context)
            publisher.publish(tables.tables(), shard.name)


def frame_reader(context: RunContext, watch: ItemWatch) -> FrameReader:
    """What decodes the shards of a run."""
    budget = decode_budget_bytes(context.num_processes)
    return FrameReader(context.config.source.max_megapixels, budget, watch)


def item_watch(context: RunContext) -> ItemWatch:
    """The watch of a run's time limit.

    A process that is stuck in an item notes which and ends; the run goes on without it, see
    `pipelines.run.recovery`. Where that process is the command itself, it begins anew.
    """

    def give_up(shard: str, items: Sequence[Item]) -> None:
        ids = tuple(item.item_id for item in items)
        overdue = ids[0] if len(ids) == 1 else None
        write_mark(OutputFolder(context.config.run.output),
                   Mark(context.run_id, shard, ids, overdue))  # fmt: skip
        if context.may_exit:
            os._exit(1)
        print("an item is stuck; the command begins anew without it", file=sys.stderr, flush=True)
        os.execv(context.restart_words[0], context.restart_words)

    limit_s = context.config.run.time_limit_per_item
    return ItemWatch(limit_s, give_up if context.may_exit or context.restart_words else None)
