"""The DoFn that reads a plan: what every pipeline begins with."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from .output_folder import OutputFolder
from .plan import Plan, ShardRef, shard_refs


class ListShards(beam.DoFn):
    """Plan -> a reference of each of its shards, which any worker may take."""

    def process(self, plan: Plan) -> Iterator[ShardRef]:
        """References in the order of the plan."""
        yield from shard_refs(OutputFolder(plan.output), plan)
