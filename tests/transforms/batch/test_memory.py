"""Limits of memory as control groups of both versions set them."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from hierprob3d.transforms.batch import memory
from hierprob3d.transforms.batch.memory import memory_bytes, oom_kills, process_memory_bytes

GIB = 2**30
UNLIMITED_V1 = str(2**63 - 4096)


class Groups:
    """Control groups of a machine, as files."""

    def __init__(self, folder: Path) -> None:
        self.membership = folder / "cgroup"
        self.mount = folder / "mount"

    def write(self, path: str, text: str) -> None:
        (self.mount / path).parent.mkdir(parents=True, exist_ok=True)
        (self.mount / path).write_text(text)

    def memory(self) -> int:
        return memory_bytes(self.membership, self.mount)

    def kills(self) -> int:
        return oom_kills(self.membership, self.mount)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


def test_without_groups_it_is_the_machines(groups: Groups) -> None:
    assert groups.memory() > GIB // 4
    assert groups.kills() == 0


@pytest.mark.parametrize("mount", ["", "unified/"])
def test_version_2_counts_the_own_group_and_those_above(groups: Groups, mount: str) -> None:
    groups.membership.write_text("0::/batch/job7\n")
    groups.write(f"{mount}batch/job7/memory.max", "max\n")
    groups.write(f"{mount}batch/memory.max", "100000000\n")
    groups.write(f"{mount}batch/job7/memory.events", "low 0\nhigh 3\noom 2\noom_kill 1\n")
    assert groups.memory() == 100000000
    assert groups.kills() == 1
    groups.write(f"{mount}batch/job7/memory.max", "50000000\n")
    assert groups.memory() == 50000000


def test_version_1_counts_too(groups: Groups) -> None:
    groups.membership.write_text("5:cpu,cpuacct:/other\n4:memory:/slurm/job\n0::/\n")
    groups.write("memory/memory.limit_in_bytes", UNLIMITED_V1)
    groups.write("memory/slurm/job/memory.limit_in_bytes", "70000000\n")
    groups.write("memory/other/memory.limit_in_bytes", "1\n")
    groups.write("memory/slurm/job/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n")
    assert groups.memory() == 70000000
    assert groups.kills() == 2


def test_inside_a_container_the_hosts_names_lead_to_the_root(groups: Groups) -> None:
    groups.membership.write_text("0::/system.slice/docker-abc.scope\n")
    groups.write("memory.max", "60000000\n")
    assert groups.memory() == 60000000


def test_a_limit_of_address_space_holds_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = memory_bytes()
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (GIB, resource.RLIM_INFINITY))
    assert process_memory_bytes() == min(GIB, everything)
    assert memory_bytes() == everything
