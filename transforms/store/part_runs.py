"""Ids of runs that do one part of a plan: whose they are is told by their beginning.

A part that is started again is another run. What all runs of a part wrote, marked and locked begins
with the same words, its series; so parts of a plan know their own from each other's by names alone.
"""

from __future__ import annotations

import re

_RUN_ID = re.compile(r"(?:.+-p\d{5,}-)?\d{8}T\d{6}Z-[0-9a-f]{6}")
_SERIES = re.compile(r"(?P<series>(?P<plan>.+)-p(?P<part>\d{5,}))-[^-]+-[^-]+")


def part_series(plan_id: str, part: int) -> str:
    """What the ids of all runs of a part begin with."""
    return f"{plan_id}-p{part:05d}"


def part_run_id(plan_id: str, part: int, run_id: str) -> str:
    """Id of a run of a part.

    Args:
        plan_id: The plan.
        part: Number of the part, from 0.
        run_id: That no other run has, see `new_run_id`.
    """
    return f"{part_series(plan_id, part)}-{run_id}"


def is_run_id(name: str) -> bool:
    """Whether a name is one that runs are given, see `new_run_id`."""
    return _RUN_ID.fullmatch(name) is not None


def series_of(run_id: str) -> str:
    """What the runs of the same part begin with; empty where a run is not of a part."""
    match = _SERIES.fullmatch(run_id)
    return match["series"] if match else ""


def plan_and_part(run_id: str) -> tuple[str, int] | None:
    """The plan and the number of the part that a run does; None where it is not of a part."""
    match = _SERIES.fullmatch(run_id)
    return (match["plan"], int(match["part"])) if match else None


def belongs_to(name: str, series: str) -> bool:
    """Whether a name that begins with a run's id is one of a series; all are of the empty one."""
    return not series or name.startswith(f"{series}-")
