"""What DoFns that publish into an output folder have in common."""

from __future__ import annotations

from collections.abc import Mapping

import apache_beam as beam
import pyarrow as pa

from .shard_publisher import ShardPublisher


class PublishingDoFn(beam.DoFn):
    """Opens a run's output folder; as long as its process lives, the folder is in use.

    Args:
        output: The output folder.
        run_id: The run.
    """

    def __init__(self, output: str, run_id: str) -> None:
        self.output = output
        self.run_id = run_id

    def setup(self) -> None:
        """Opens the folder, once per process."""
        self.publisher = ShardPublisher(self.output, self.run_id)
        self.store = self.publisher.store

    def teardown(self) -> None:
        """Lets go of the folder."""
        self.publisher.close()

    def publish(self, tables: Mapping[str, pa.Table], shard: str) -> int:
        """Writes the tables of a shard, `frames` last; its number of rows."""
        return self.publisher.publish(tables, shard)
