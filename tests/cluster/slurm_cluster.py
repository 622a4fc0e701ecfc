"""A real Slurm on this machine: a controller and nodes of one core, which can lose their power.

Needs Debian's slurm-wlm and munge, and root, as nobody else may start daemons that share a key.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.cluster.processes import descendants, parent

_CONFIG = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=20
KillWait=5
MinJobAge=3600
MaxArraySize=3
JobRequeue=1
MpiDefault=none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

_TO_END_S = 4.0


def why_not() -> str:
    """What is missing here for a cluster; empty where nothing is."""
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch")
               if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]  # fmt: skip
    if missing:
        return f"no {', '.join(missing)} here (Debian: apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "Slurm's daemons need root"


class SlurmCluster:
    """The cluster, from `start` to `stop`.

    Args:
        folder: For its configuration, state and logs.
        num_nodes: Their number; names are n1, n2 ...
    """

    def __init__(self, folder: Path, num_nodes: int) -> None:
        self.folder = folder
        self.nodes = [f"n{number + 1}" for number in range(num_nodes)]
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["PATH"] += ":/usr/sbin"
        self._waiting = dict[str, float]()

    def start(self) -> None:
        """Starts all daemons, and waits until every node is idle."""
        for name in ("state", "log", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        host = socket.gethostname()
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={17001 + number} CPUs=1 "
            "RealMemory=4000 State=UNKNOWN\n"
            for number, node in enumerate(self.nodes)
        ]
        text = _CONFIG.format(host=host, folder=self.folder) + "".join(nodes)
        (self.folder / "slurm.conf").write_text(text)
        _start_munge()
        self.call("slurmctld", "-f", f"{self.folder}/slurm.conf")
        for node in self.nodes:
            self.call("slurmd", "-f", f"{self.folder}/slurm.conf", "-N", node)
        deadline = time.monotonic() + 60
        while self.call("sinfo", "-h", "-t", "idle", "-o", "%D").strip() != str(len(self.nodes)):
            assert time.monotonic() < deadline, self.call("sinfo")
            time.sleep(0.5)

    def call(self, *words: str) -> str:
        """What a command of Slurm's prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def tasks(self) -> dict[str, str]:
        """State of every task and job that is not over, by its number such as 4_2."""
        lines = self.call("squeue", "-h", "-r", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def node_of(self, task: str) -> str:
        """Where a task runs; empty where it waits."""
        return self.call("squeue", "-h", "-j", task, "-o", "%N").strip()

    def lose_power(self, node: str) -> None:
        """Kills a node's daemon and everything that it started, at once."""
        daemon = int((self.folder / f"slurmd.{node}.pid").read_text())
        first = [daemon, *_stepds(node, self.folder)]  # before they can tell what becomes of others
        later = [child for process in first for child in descendants(process)]
        for one in [*first, *later]:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def power_on(self, node: str) -> None:
        """Starts the daemon of a node that lost its power."""
        self.call("slurmd", "-f", f"{self.folder}/slurm.conf", "-N", node)

    def meet_time_limit(self, task: str) -> None:
        """Lets a task run into Slurm's warning before its time limit, within half a minute."""
        self.call("scontrol", "update", f"JobId={task}", "TimeLimit=2")

    def lift_time_limit(self, task: str) -> None:
        """Gives a task that waits to go on all the time that it wants."""
        self.call("scontrol", "update", f"JobId={task}", "TimeLimit=UNLIMITED")

    def hurry(self) -> None:
        """Lets requeued tasks begin soon: Slurm would wait two minutes, to be asked again.

        Not at once: a node takes what comes back within the second for the job that it has ended.
        """
        now = time.monotonic()
        waiting = [task for task, state in self.tasks().items()
                   if state == "PENDING" and "_" in task]  # fmt: skip
        self._waiting = {task: self._waiting.get(task, now) for task in waiting}
        for task, since in self._waiting.items():
            if now - since > _TO_END_S:
                subprocess.run(["scontrol", "update", f"JobId={task}", "StartTime=now"],
                               env=self.environment, capture_output=True)  # fmt: skip

    def stop(self) -> None:
        """Ends the daemons that are left."""
        for file in [*self.folder.glob("slurmd.*.pid"), self.folder / "slurmctld.pid"]:
            try:
                os.kill(int(file.read_text()), signal.SIGTERM)
            except (FileNotFoundError, ProcessLookupError, ValueError):
                continue


def _start_munge() -> None:
    if subprocess.run(["pgrep", "-x", "munged"], capture_output=True).returncode == 0:
        return
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", "/usr/sbin/munged"], check=True)
    time.sleep(1)


def _stepds(node: str, folder: Path) -> list[int]:
    """Processes that run a node's jobs: parents of the jobs' scripts, which lie in its folder."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = status.read_bytes()
        except OSError:
            continue
        if f"{folder}/spool/{node}/".encode() in words:
            found.append(parent(int(status.parent.name)))
    return [process for process in found if process > 1]
