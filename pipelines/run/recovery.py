"""What a run does about items that take its workers down: alone first, then an error row.

A lost worker was at one item of the shards that it had begun. Those are run again item by item, by
one worker, so that the next loss names its item; an item that takes its worker down twice when it
is alone, or that a library does not let go of when its time is over, is not tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Set
from dataclasses import replace

from hierprob3d.transforms.inputs.items import Item, Shard
from hierprob3d.transforms.store.marks import Mark, remove_marks, unpublished_marks
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_runs import series_of

_MAX_STRIKES = 2
_MAX_LOSSES_IN_A_ROW = 40
"""Losses without an item in between that came through: then it is not the items."""

OVERDUE = "it took longer than --time-limit-per-item, and its worker with it"


class Recovery:
    """Learns from the marks of shards that were begun and never published.

    Args:
        store: The output folder.
        run_id: The run.
    """

    def __init__(self, store: OutputFolder, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._strikes: Counter[str] = Counter()
        self._refusals: dict[str, str] = {}
        self._losses_in_a_row = 0
        self._num_done = 0
        self._suspects: set[str] = set()
        for mark in unpublished_marks(store, series=series_of(run_id)):
            self._suspect(mark)

    @property
    def unsettled(self) -> set[str]:
        """Ids of the items that are run alone, or become error rows without being tried."""
        return self._suspects | self._refusals.keys()

    def learn(self, done: Set[str], reason: str, alone: bool) -> bool:
        """Takes in that a worker was lost; whether there is any use in going on.

        Args:
            done: Ids of the items that this run has finished.
            reason: How the worker ended.
            alone: Whether it had been given one item at a time.
        """
        was_unsettled = self.unsettled
        came_through = len(done - self._refusals.keys())
        self._losses_in_a_row = 1 if came_through > self._num_done else self._losses_in_a_row + 1
        self._num_done = came_through
        marks = unpublished_marks(self._store, self._run_id)
        self._suspects = {i for i in self._suspects if i not in done} - self._refusals.keys()
        for mark in marks:
            self._suspect(mark)
        if alone and len(marks) == len(marks[0].items if marks else ()) == 1:
            self._strike(marks[0].items[0], reason)
        remove_marks(self._store, [mark.key for mark in marks])
        learnt = bool(marks) and (alone or self.unsettled != was_unsettled)
        return learnt and self._losses_in_a_row <= _MAX_LOSSES_IN_A_ROW

    def shards_alone(self, shards: Iterator[Shard], done: Container[str]) -> Iterator[Shard]:
        """One shard for each unsettled item among the shards that is not done."""
        unsettled = self.unsettled
        for shard in shards:
            for item in shard.items:
                if item.item_id in unsettled and item.item_id not in done:
                    yield Shard(0, (self._judged(item),), shard.details)

    def _judged(self, item: Item) -> Item:
        """The item with the number of this attempt, and its refusal if it is not to be tried."""
        strikes = self._strikes[item.item_id]
        refusal = self._refusals.get(item.item_id)
        return replace(item, attempts=max(1, strikes + (refusal is None)), refusal=refusal)

    def _suspect(self, mark: Mark) -> None:
        if mark.overdue is not None:
            self._strikes[mark.overdue] += 1
            self._refusals[mark.overdue] = OVERDUE
        self._suspects.update(item for item in mark.items if item not in self._refusals)

    def _strike(self, item_id: str, reason: str) -> None:
        if item_id in self._refusals:
            return
        self._strikes[item_id] += 1
        if self._strikes[item_id] >= _MAX_STRIKES:
            self._refusals[item_id] = f"it took its worker process down twice: {reason}"
            self._suspects.discard(item_id)


def remaining(shards: Iterator[Shard], done: Container[str]) -> Iterator[Shard]:
    """The shards without the items that are done."""
    for shard in shards:
        if new := tuple(item for item in shard.items if item.item_id not in done):
            yield replace(shard, items=new)
