"""One bad element does not take its batch with it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from hierprob3d.transforms.batch.isolation import (
    Columns,
    Failure,
    People,
    call_each,
    call_isolated,
    run_stage,
    successes,
)
from hierprob3d.transforms.inputs.items import picture_item


@pytest.fixture
def people() -> People:
    items = [picture_item(f"/{i}.jpg") for i in range(4)]
    return People(items, [0, 1, 0, 5], {"x": torch.arange(4.0)})


def test_batches_are_called_once_when_all_is_well() -> None:
    calls: list[int] = []

    def double(values: Sequence[int]) -> list[int]:
        calls.append(len(values))
        return [2 * value for value in values]

    assert call_isolated(double, [1, 2, 3]) == [2, 4, 6]
    assert calls == [3]
    assert call_isolated(double, []) == []


def test_a_raising_batch_is_called_one_by_one() -> None:
    def invert(values: Sequence[int]) -> list[float]:
        return [1 / value for value in values]

    first, second, third = call_isolated(invert, [1, 0, 2])
    assert (first, third) == (1.0, 0.5)
    assert isinstance(second, ZeroDivisionError)


def test_exceptions_among_results_become_failures_of_their_items(people: People) -> None:
    failures: list[Failure] = []
    results = call_each(lambda value: 6 // value, [1, 0, 3, 2])
    good = successes("divide", people.items, results, failures, person_index=7)
    assert good == {0: 6, 2: 2, 3: 3}
    [failure] = failures
    assert (failure.item.uri, failure.person_index, failure.stage) == ("/1.jpg", 7, "divide")
    assert isinstance(failure.error, ZeroDivisionError)


def test_stage_adds_columns(people: People) -> None:
    failures: list[Failure] = []
    done = run_stage("s", lambda p: {"y": 2 * p.columns["x"]}, people, failures)
    assert done.columns["y"].tolist() == [0, 2, 4, 6] and not failures


def test_not_finite_fails_one_person(people: People) -> None:
    def stage(p: People) -> Columns:
        return {"y": torch.tensor([[1.0], [torch.nan], [2.0], [torch.inf]]), "n": p.columns["x"]}

    failures: list[Failure] = []
    done = run_stage("s", stage, people, failures)
    assert done.columns["y"].flatten().tolist() == [1, 2]
    assert [item.uri for item in done.items] == ["/0.jpg", "/2.jpg"]
    assert [(f.item.uri, f.person_index, f.stage) for f in failures] == [
        ("/1.jpg", 1, "s"), ("/3.jpg", 5, "s")
    ]  # fmt: skip


def test_columns_that_may_be_nan(people: People) -> None:
    failures: list[Failure] = []
    stage = {"y": torch.full((4,), torch.nan)}
    done = run_stage("s", lambda p: stage, people, failures, may_be_nan=["y"])
    assert len(done) == 4 and not failures


def test_raising_person_is_found_and_the_rest_goes_on(people: People) -> None:
    def stage(p: People) -> Columns:
        if 2.0 in p.columns["x"]:
            raise RuntimeError("no")
        return {"y": p.columns["x"] + 1}

    failures: list[Failure] = []
    done = run_stage("s", stage, people, failures)
    assert done.columns["y"].tolist() == [1, 2, 4]
    assert [f.item.uri for f in failures] == ["/2.jpg"]


def test_all_failing_leaves_nobody(people: People) -> None:
    def stage(p: People) -> Columns:
        raise RuntimeError("no")

    failures: list[Failure] = []
    assert len(run_stage("s", stage, people, failures)) == 0
    assert len(failures) == 4
    assert len(run_stage("t", stage, People(), failures)) == 0
