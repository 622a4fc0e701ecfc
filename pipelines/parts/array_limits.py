"""Parts of a plan as Slurm's job arrays, none of them longer than Slurm allows."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hierprob3d.transforms.store.output_folder import OutputFolder

SCRIPTS_FOLDER = "slurm"
LOGS_FOLDER = f"{SCRIPTS_FOLDER}/logs"
ARRAYS_FILE = f"{SCRIPTS_FOLDER}/arrays.json"
"""What `hierprob3d slurm` submitted, for whoever does some parts again."""


@dataclass(frozen=True)
class SlurmArray:
    """Some parts that follow each other."""

    offset: int
    """The first of them; added to Slurm's numbers, which begin at 0."""

    count: int
    at_once: int | None = None
    """At most so many run at the same time."""

    @property
    def parts(self) -> range:
        """Numbers of the parts."""
        return range(self.offset, self.offset + self.count)

    @property
    def spec(self) -> str:
        """As --array takes it."""
        limit = f"%{self.at_once}" if self.at_once else ""
        return f"0-{self.count - 1}{limit}" if self.count > 1 else f"0{limit}"


def arrays_for(num_parts: int, max_size: int, at_once: int | None = None) -> list[SlurmArray]:
    """The fewest arrays for all parts, of about equal length.

    Args:
        num_parts: Of the plan.
        max_size: Slurm's MaxArraySize: numbers of tasks stay below it.
        at_once: Parts of all arrays together that may run at the same time.
    """
    num_arrays = -(-num_parts // max_size)
    ends = [num_parts * (i + 1) // num_arrays for i in range(num_arrays)]
    starts = [0, *ends[:-1]]
    limits: list[int | None] = [None] * num_arrays
    if at_once is not None:
        limits = [max(1, at_once * (i + 1) // num_arrays - at_once * i // num_arrays)
                  for i in range(num_arrays)]  # fmt: skip
    pairs = zip(starts, ends, limits, strict=True)
    return [SlurmArray(start, end - start, limit) for start, end, limit in pairs]


def note_arrays(store: OutputFolder, arrays: list[SlurmArray]) -> None:
    """Writes down which arrays there are."""
    content = [{"offset": array.offset, "count": array.count} for array in arrays]
    store.write(ARRAYS_FILE, json.dumps(content).encode())


def slurm_arrays(store: OutputFolder) -> list[SlurmArray] | None:
    """The arrays of a folder; None where its plan was not made for Slurm."""
    try:
        content = json.loads(store.read(ARRAYS_FILE))
    except FileNotFoundError:
        return None
    return [SlurmArray(array["offset"], array["count"]) for array in content]
