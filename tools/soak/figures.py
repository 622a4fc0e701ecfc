"""What the parts of a soak found out, as rows of one Markdown table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One kind of trial."""

    kind: str
    tries: int
    outcome: str
    """What was found where all went well."""
    problems: tuple[str, ...] = ()
    """What did not hold, one line each; nothing where all did."""
    seconds: float = 0.0


Trial = Callable[[], Iterable[Figure]]
_MAX_SHOWN = 5


def measured(name: str, trial: Trial) -> list[Figure]:
    """The figures of a trial, each with the seconds that it took; a defect becomes a figure too."""
    found: list[Figure] = []
    start = time.monotonic()
    try:
        for figure in trial():
            now = time.monotonic()
            found.append(
                Figure(figure.kind, figure.tries, figure.outcome, figure.problems, now - start)
            )
            start = now
    except Exception as error:
        seconds = time.monotonic() - start
        found.append(Figure(name, 0, "", (f"{type(error).__name__}: {error}",), seconds))
    return found


def as_table(figures: Iterable[Figure]) -> str:
    """Markdown, a row for each kind."""
    rows = [
        f"| {figure.kind} | {figure.tries} | {_outcome(figure)} | {figure.seconds:.0f} |"
        for figure in figures
    ]
    return "\n".join(["| kind | tries | outcome | seconds |", "|---|---|---|---|", *rows])


def problem_lines(figures: Iterable[Figure]) -> list[str]:
    """The first problems of each kind."""
    return [
        f"{figure.kind}: {problem}"
        for figure in figures
        for problem in figure.problems[:_MAX_SHOWN]
    ]


def _outcome(figure: Figure) -> str:
    if not figure.problems:
        return figure.outcome
    return f"**{len(figure.problems)} problems**; {figure.outcome}"
