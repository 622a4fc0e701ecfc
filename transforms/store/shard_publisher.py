"""What a process publishes into an output folder, as long as its run holds the folder."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from .output_folder import TABLES, OutputFolder, part_name


class RunGivenUp(RuntimeError):
    """The run that a worker belongs to no longer holds its output folder."""


class ShardPublisher:
    """A run's output folder, opened; until it is closed, the folder is in use.

    Args:
        output: The output folder.
        run_id: The run.
    """

    def __init__(self, output: str, run_id: str) -> None:
        self.run_id = run_id
        self.store = OutputFolder(output)
        self._lock = self.store.lock_for_worker(run_id)

    def close(self) -> None:
        """Lets go of the folder."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> ShardPublisher:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def publish(self, tables: Mapping[str, pa.Table], shard: str) -> int:
        """Writes the tables of a shard, `frames` last; its number of rows.

        Raises:
            RunGivenUp: This is a forgotten worker, whose shards another run may be doing again.
        """
        self._check_run()
        for name in (table for table in TABLES if table in tables):
            self.store.write_table(part_name(name, self.run_id, shard), tables[name])
        return int(tables["frames"].num_rows)

    def publish_part(self, name: str, table: pa.Table) -> None:
        """Writes a part of a table by which no item is finished; RunGivenUp as `publish`."""
        self._check_run()
        self.store.write_table(name, table)

    def _check_run(self) -> None:
        if not self.store.is_current_run(self.run_id):
            raise RunGivenUp(
                f"run {self.run_id} does not hold {self.store.root} any more, or the folder is not "
                "the same one here; nothing more is published"
            )
