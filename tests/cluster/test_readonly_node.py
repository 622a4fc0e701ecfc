"""A node that mounts the shared folder for reading only: told in one line, nothing lost."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from hierprob3d.pipelines.command.cli import main
from tests.cluster.conftest import SOURCE
from tests.cluster.slurm_chain import PROGRAM
from tests.pipelines.trials import predict_trial

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def test_a_part_that_cannot_be_written(tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = [*predict_trial(tmp_path, 1).words, "--output", str(output)]
    assert main(["plan", "--parts", "1", "--", *words]) == 0
    before = sorted(output.rglob("*"))
    place = shlex.quote(str(output))
    lines = [
        f"mount --bind {place} {place}",
        f"mount -o remount,ro,bind {place}",
        shlex.join([*PROGRAM, "work", str(output), "--part", "0"]),
    ]
    done = subprocess.run(["unshare", "--mount", "bash", "-ec", "\n".join(lines)],
                          env={**os.environ, "PYTHONPATH": str(SOURCE)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"{output}: the output folder cannot be written to (Read-only file" in done.stderr
    assert sorted(output.rglob("*")) == before
