"""What a command does to its items: one run all of them, or many machines a part each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import pyarrow as pa

from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan

from .manifest import plain
from .row_settings import Difference, check_settings, differences
from .run import Run, Work
from .worker_plan import WorkerPlan


class Job(ABC):
    """The work of one command line.

    Args:
        config: All that it was told.
    """

    config_class: ClassVar[type]
    details: ClassVar[pa.Schema | None] = None
    """Fields of the details of its shards."""

    no_row_settings: ClassVar[frozenset[str]]
    """Fields of the configuration that do not change what a row means, paths among them."""

    needs_records: ClassVar[bool] = False
    """Whether rows may not stay whose run's record is gone: what is made of all would mix them."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def record(self) -> dict[str, Any]:
        """What the manifest of a run of it says at its start, of what decides what rows mean."""
        return {"config": plain(self.config), **plain(self.facts())}

    def check_settings(self, store: OutputFolder, dropped: Collection[str] = ()) -> None:
        """Raise UsageError if rows that stay, once some items are dropped, mean something else."""
        check_settings(
            store, type(self.config), self.no_row_settings, self.record(), dropped,
            self.needs_records,
        )  # fmt: skip

    def differences(self, record: Mapping[str, Any]) -> list[Difference]:
        """What rows would mean here that they do not by another's record."""
        return differences(type(self.config), self.no_row_settings, record, self.record())

    @property
    def output(self) -> str:
        """Folder of the results."""
        return str(self.config.output)

    @property
    def device(self) -> str:
        """Where the networks are to compute, as it was told."""
        return str(getattr(self.config, "models", self.config).device)

    @property
    def max_failed_ratio(self) -> float:
        """Share of failures above which the exit code is 1."""
        return float(self.config.max_failed_ratio)

    @property
    @abstractmethod
    def on_gpu(self) -> bool:
        """Whether the networks compute on a GPU."""

    @abstractmethod
    def prepare(self, beam_words: list[str]) -> None:
        """Finds inputs and models, before the output folder is touched; bad usage is told here."""

    @abstractmethod
    def plan(self, run: Run, num_parts: int | None = None) -> Plan:
        """Publishes the items that are to be done, cut so that as many parts get several shards.

        Rows that are to be made again are gone after it.
        """

    @abstractmethod
    def model_files(self) -> dict[str, dict[str, str]]:
        """Path and SHA-256 of every file that results depend on."""

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What the manifest says besides the configuration; see `row_settings` for some of it."""

    @abstractmethod
    def work_for(self, run: Run) -> Work:
        """What is done with a run's shards."""

    def workers(self, run: Run, num_items: int) -> WorkerPlan:
        """Processes and threads for that many items."""
        return run.workers(num_items).for_device(self.device)

    @abstractmethod
    def finish(self, store: OutputFolder, record: dict[str, Any]) -> int:
        """Writes what needs the rows of all parts, and says what came out; the exit code.

        Args:
            store: The output folder.
            record: The manifest of all parts together.
        """
