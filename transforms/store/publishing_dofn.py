"""What DoFns that publish into an output folder have in common."""

from __future__ import annotations

from collections.abc import Mapping

import apache_beam as beam
import pyarrow as pa

from .output_folder import TABLES, OutputFolder, part_name


class RunGivenUp(RuntimeError):
    """The run that a worker belongs to no longer holds its output folder."""


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
        self.store = OutputFolder(self.output)
        self.lock = self.store.lock_for_worker(self.run_id)

    def teardown(self) -> None:
        """Lets go of the folder."""
        if self.lock is not None:
            self.lock.release()

    def publish(self, tables: Mapping[str, pa.Table], shard: str) -> int:
        """Writes the tables of a shard, `frames` last; its number of rows.

        Raises:
            RunGivenUp: This is a forgotten worker, whose shards another run may be doing again.
        """
        self._check_run()
        for name in (table for table in TABLES if table in tables):
            self.store.write_table(part_name(name, self.run_id, shard), tables[name])
        return int(tables["frames"].num_rows)

    def _check_run(self) -> None:
        if not self.store.is_current_run(self.run_id):
            raise RunGivenUp(
                f"run {self.run_id} does not hold {self.store.root} any more, or the folder is not "
                "the same one here; nothing more is published"
            )
