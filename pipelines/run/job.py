"""What a command does to its items: one run all of them, or many machines a part each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.plan import Plan

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

    def __init__(self, config: Any) -> None:
        self.config = config

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
        """What the manifest says besides the configuration."""

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
