"""Processes that others started, by /proc."""

from __future__ import annotations

from pathlib import Path


def parent(process: int) -> int:
    """Who started a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descendants(process: int) -> list[int]:
    """All that a process started and that these started, children before their parents."""
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat")
                if parent(int(path.parent.name)) == process]  # fmt: skip
    return [one for child in children for one in (*descendants(child), child)]
