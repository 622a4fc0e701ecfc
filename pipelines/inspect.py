"""Counts, errors and timings of a prediction run, in the terminal; also of a killed one."""

from __future__ import annotations

from collections.abc import Iterator

from hierprob3d.configs.run_results import InspectConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE
from hierprob3d.pipelines.parts.part_states import (
    lines_before_the_plan,
    part_states,
    state_lines,
)
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.pipelines.results.run_summary import RunRecord, RunSummary, summarise
from hierprob3d.transforms.store.output_folder import OutputFolder
from hierprob3d.transforms.store.part_plan import read_part_plan

_MAX_TEXT = 100


def run(config: InspectConfig) -> int:
    """Prints the summary; 0, or UsageError where its folder is no prediction run."""
    if lines := lines_before_the_plan(OutputFolder(config.folder)):
        print("\n".join(lines))
        return EXIT_DONE
    folder = RunFolder(config.folder)
    for line in summary_lines(config.folder, summarise(folder)):
        print(line)
    plan = read_part_plan(folder.store)
    if plan is not None:
        for line in state_lines(folder.store, plan, part_states(folder.store, plan)):
            print(line)
    return EXIT_DONE


def summary_lines(folder: str, summary: RunSummary) -> Iterator[str]:
    """The summary as lines of text."""
    yield folder
    counts = ", ".join(f"{count} {status}" for status, count in summary.status_counts.items())
    yield f"  items   {summary.num_items} ({counts})"
    yield f"  people  {summary.num_people}"
    if summary.num_unfinished_parts:
        yield (
            f"  parts of unfinished shards: {summary.num_unfinished_parts}, not counted; the next "
            "run with the same output does them again"
        )
    yield from _error_lines(summary)
    if summary.warnings:
        yield "warnings (number, what, first example)"
    for warned in summary.warnings:
        yield f"  {warned.count:>7}  {one_line(warned.warning)} ({one_line(warned.uri)})"
    yield from _spread_lines(summary)
    for record in summary.runs:
        yield from _run_lines(record)


def _error_lines(summary: RunSummary) -> Iterator[str]:
    if summary.errors:
        yield "errors (number, stage, kind, first example)"
    for group in summary.errors:
        example = one_line(f"{group.uri}: {group.message}")
        yield f"  {group.count:>7}  {group.stage:<12} {group.error:<20} {example}"


def _spread_lines(summary: RunSummary) -> Iterator[str]:
    """The surest and the least sure joints."""
    ordered = sorted(summary.joint_spreads, key=lambda spread: spread.median)
    if ordered:
        yield "angular spread, median of people (120 deg = no information)"
        yield "  surest      " + ", ".join(f"{s.name} {s.median:.0f}" for s in ordered[:4])
        yield "  least sure  " + ", ".join(f"{s.name} {s.median:.0f}" for s in ordered[-4:])


def _run_lines(record: RunRecord) -> Iterator[str]:
    yield f"run {record.run_id} ({record.state})"
    yield "  " + ", ".join(record.facts)
    total = sum(record.stage_seconds.values()) or 1.0
    for stage, seconds in record.stage_seconds.items():
        yield f"  {stage:<14} {seconds:9.1f} s  {seconds / total:4.0%}"


def one_line(text: str) -> str:
    """One line without control characters, which file names may hold."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 3] + "..."
