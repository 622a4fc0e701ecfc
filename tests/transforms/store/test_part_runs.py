"""Ids of runs of parts: what begins alike belongs together, and nothing else does."""

from __future__ import annotations

from hierprob3d.transforms.store.part_runs import (
    belongs_to,
    part_run_id,
    part_series,
    plan_and_part,
    series_of,
)

PLAN, RUN = "20261129T120000Z-abcdef", "20261129T130000Z-012345"


def test_a_run_of_a_part_knows_plan_part_and_series() -> None:
    run_id = part_run_id(PLAN, 17, RUN)
    assert plan_and_part(run_id) == (PLAN, 17)
    assert series_of(run_id) == part_series(PLAN, 17) == f"{PLAN}-p00017"


def test_a_run_of_the_whole_folder_is_of_no_part() -> None:
    assert series_of(RUN) == "" and plan_and_part(RUN) is None
    assert belongs_to("anything", "")


def test_numbers_that_begin_alike_are_not_of_one_part() -> None:
    longer = part_run_id(PLAN, 1000017, RUN)
    assert plan_and_part(longer) == (PLAN, 1000017)
    assert not belongs_to(longer, part_series(PLAN, 10000))
    assert belongs_to(longer, part_series(PLAN, 1000017))
