"""One batch, many people: a failure is traced to the item or person it belongs to.

A stage is called once with the whole batch. If that raises, it is called again for each element
alone, so that only guilty ones fail; results that are not finite fail the person they belong to.
Prediction, evaluation and preprocessing all isolate with what is here: `call_isolated` and
`call_each` give a result or an exception for each element and `successes` parts them; `run_stage`
does both at once for people in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from hierprob3d.transforms.inputs.items import Item

T = TypeVar("T")
R = TypeVar("R")

Columns = dict[str, Tensor]
"""Values of P people by name; the first dimension of each is the person."""


class NotFinite(ValueError):
    """A result holds NaN or infinity."""


@dataclass(frozen=True)
class Failure:
    """What failed where; becomes a row of the errors table."""

    item: Item
    person_index: int | None
    """None: the whole picture failed."""

    stage: str
    error: Exception


@dataclass
class People:
    """The people of a batch of frames, with what the stages found out about them."""

    items: list[Item] = field(default_factory=list)
    person_indices: list[int] = field(default_factory=list)
    columns: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def select(self, people: Sequence[int]) -> People:
        """Only the people at these places."""
        places = torch.as_tensor(list(people), dtype=torch.long)
        return People(
            [self.items[i] for i in people],
            [self.person_indices[i] for i in people],
            {name: column[places.to(column.device)] for name, column in self.columns.items()},
        )


def call_isolated(
    function: Callable[[Sequence[T]], Sequence[R]], elements: Sequence[T]
) -> list[R | Exception]:
    """A result or an exception for each element, from one call where that succeeds."""
    if not elements:
        return []
    try:
        return list(function(elements))
    except Exception as error:
        if len(elements) == 1:
            return [error]
    return [result for element in elements for result in call_isolated(function, [element])]


def call_each(function: Callable[[T], R], elements: Sequence[T]) -> list[R | Exception]:
    """A result or an exception for each element, of a function that takes one at a time."""
    results: list[R | Exception] = []
    for element in elements:
        results += call_isolated(lambda alone: [function(alone[0])], [element])
    return results


def successes(
    stage: str,
    items: Sequence[Item],
    results: Sequence[R | Exception],
    failures: list[Failure],
    person_index: int | None = None,
) -> dict[int, R]:
    """Results by place; the exceptions among them become failures of their items.

    Args:
        stage: Name for error rows.
        items: What each result belongs to.
        results: Of `call_isolated` or `call_each`.
        failures: Where failed items are noted.
        person_index: The person that all of this is about; None: whole pictures.
    """
    good = {}
    for place, (item, result) in enumerate(zip(items, results, strict=True)):
        if isinstance(result, Exception):
            failures.append(Failure(item, person_index, stage, result))
        else:
            good[place] = result
    return good


def run_stage(
    stage: str,
    function: Callable[[People], Columns],
    people: People,
    failures: list[Failure],
    may_be_nan: Sequence[str] = (),
) -> People:
    """The people with the stage's columns added; those who failed are left out.

    Args:
        stage: Name for error rows.
        function: Makes columns of P rows from P people.
        people: All people of the batch.
        failures: Where failed people are noted.
        may_be_nan: Columns in which NaN is an answer, not a failure.
    """
    if not len(people):
        return people
    try:
        columns = function(people)
    except Exception as error:
        if len(people) == 1:
            failures.append(_failure(people, 0, stage, error))
            return people.select([])
        singles = [
            run_stage(stage, function, people.select([i]), failures, may_be_nan)
            for i in range(len(people))
        ]
        return _concatenate([single for single in singles if len(single)])
    return _keep_finite(stage, people, columns, failures, may_be_nan)


def _keep_finite(
    stage: str,
    people: People,
    columns: Columns,
    failures: list[Failure],
    may_be_nan: Sequence[str],
) -> People:
    """Adds the columns; people with a number that is not finite become failures."""
    good = torch.ones(len(people), dtype=torch.bool)
    for name, column in columns.items():
        if name in may_be_nan or not column.is_floating_point():
            continue
        finite = torch.isfinite(column).flatten(1).all(1) if column.ndim > 1 else column.isfinite()
        for place in (good & ~finite.cpu()).nonzero().flatten().tolist():
            error = NotFinite(f"{name} holds NaN or infinity")
            failures.append(_failure(people, place, stage, error))
        good &= finite.cpu()
    added = People(people.items, people.person_indices, people.columns | columns)
    return added if bool(good.all()) else added.select(good.nonzero().flatten().tolist())


def _failure(people: People, place: int, stage: str, error: Exception) -> Failure:
    return Failure(people.items[place], people.person_indices[place], stage, error)


def _concatenate(parts: list[People]) -> People:
    if not parts:
        return People()
    return People(
        [item for part in parts for item in part.items],
        [index for part in parts for index in part.person_indices],
        {name: torch.cat([p.columns[name] for p in parts]) for name in parts[0].columns},
    )
