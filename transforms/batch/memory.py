"""How much memory there is for our processes, and whether the kernel ended some for want of it.

A container, a batch system or `systemd-run` sets its limit on a control group, of which there are
two layouts (version 1 and 2, also side by side); the process's own group and all groups above it
count.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_MEMBERSHIP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_MOUNTS_V1 = ("memory",)
_MOUNTS_V2 = ("", "unified")
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_EVENTS = ("memory.events", "memory.oom_control")
_OOM_KILL = "oom_kill"

_BASE = 2 * 2**30
"""A process with libraries, models, and the people of a batch."""
_LEAST_BUDGET = 256 * 2**20


def memory_bytes(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> int:
    """Memory of the machine, or what control groups leave of it to all of our processes together.

    Args:
        membership: The kernel's list of the groups of this process.
        mount: Where control groups are mounted.
    """
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _groups(membership, mount):
        for name in _LIMITS:
            text = _read(folder / name).strip()
            if text.isdigit():  # "max" where there is no limit
                sizes.append(int(text))
    return min(sizes)


def process_memory_bytes() -> int:
    """What one process of ours may take: the memory there is, or less by `ulimit -v`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return memory_bytes() if soft == resource.RLIM_INFINITY else min(memory_bytes(), soft)


def decode_budget_bytes(num_processes: int = 1) -> int:
    """What decoding one picture may take in each of several processes that annotate."""
    share = process_memory_bytes() // max(1, num_processes)
    return max(_LEAST_BUDGET, share - _BASE)


def oom_kills(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> int:
    """How many processes of this process's control groups the kernel has ended for want of memory.

    Counted once for each group that the victim was in: only a rise means something.
    """
    total = 0
    for folder in _groups(membership, mount):
        for name in _EVENTS:
            for line in _read(folder / name).splitlines():
                key, _, value = line.partition(" ")
                if key == _OOM_KILL and value.isdigit():
                    total += int(value)
    return total


def _groups(membership: Path, mount: Path) -> Iterator[Path]:
    """Folders of this process's control groups, each followed by those above it, to the root's.

    Inside a container the list may name folders that only the host sees; then those above count.
    """
    for line in _read(membership).splitlines():
        number, controllers, path = line.split(":", 2)
        mounts: tuple[str, ...] = _MOUNTS_V1 if "memory" in controllers.split(",") else ()
        group = Path(path)
        for name in _MOUNTS_V2 if number == "0" else mounts:
            for folder in (group, *group.parents):
                yield mount / name / folder.relative_to(group.anchor)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such group, or another system than Linux
        return ""
