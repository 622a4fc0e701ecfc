"""Runs Beam pipelines: with the workers of a plan, and to an end that can be reported."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.workers import MODE, WorkerPlan


class RunStopped(RuntimeError):
    """The pipeline ended before all shards were done."""


def attempt(run_pipeline: Callable[[], None], num_threads: int) -> BaseException | None:
    """Runs a pipeline to its end; what stopped it, None if nothing did.

    Not raised, because what was published until then is to be counted first. The traceback is
    printed: no item fails a pipeline, so this is a lost worker, a full disk or a defect.

    Args:
        run_pipeline: Builds the pipeline and waits for its end.
        num_threads: Threads of numeric libraries in each worker process.
    """
    prepare_processes(num_threads)
    try:
        run_pipeline()
    except KeyboardInterrupt as interruption:
        return interruption
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return RunStopped(lines[-1])
    return None


def new_pipeline(plan: WorkerPlan) -> beam.Pipeline:
    """An empty pipeline for the planned runner and workers.

    Beam's local runner gets worker processes of ours, see `pipelines.worker`. The command goes
    through a shell, which `exec` replaces: so the worker's parent is this process.
    """
    if not plan.starts_processes:
        return beam.Pipeline(options=PipelineOptions(list(plan.flags)))
    flags = [flag for flag in plan.flags if not flag.startswith(MODE)]
    command = f"exec {shlex.quote(sys.executable)} -m pipelines.worker"
    environment = SubprocessSDKEnvironment.from_command_string(command)
    runner = FnApiRunner(default_environment=environment)
    return beam.Pipeline(runner=runner, options=PipelineOptions(flags))


def prepare_processes(num_threads: int) -> None:
    """Lets worker processes find this code, and keeps Beam's chatter off the progress."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    root = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH", "")
    if root not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, known]))
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
