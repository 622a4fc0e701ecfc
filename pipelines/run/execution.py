"""Runs Beam pipelines: with the workers of a plan, and to an end that can be reported."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from hierprob3d.module_path import python_command
from hierprob3d.transforms.store.outages import is_outage

from .ending import RunStopped, WorkerLost
from .engine import PANIC, EnginePipeline, failure_text
from .worker_handler import watched_environment
from .worker_plan import MODE, WorkerPlan
from .worker_watch import WorkerWatch

_DISCONNECTED = "worker disconnected"
"""What other engines say of a lost worker."""

_OF_ENGINES = (_DISCONNECTED, "control connection", PANIC)
"""Also where no worker came, or the engine itself failed: no defects of ours."""

_WORKER_MODULE = "hierprob3d.pipelines.run.worker_process"


def attempt(build: Callable[[beam.Pipeline], None], workers: WorkerPlan) -> BaseException | None:
    """Runs a pipeline to its end; what stopped it, None if nothing did.

    Not raised, because what was published until then is to be counted first. No item fails a
    pipeline: so what is no full disk and no lost connection is a defect, and its traceback printed.

    Args:
        build: Adds all steps to an empty pipeline.
        workers: By which it is run.
    """
    prepare_processes(workers.num_threads)
    watch = WorkerWatch()
    try:
        with watch, _no_interactive_beam(), new_pipeline(workers, watch) as pipeline:
            build(pipeline)
    except (KeyboardInterrupt, Exception) as error:
        if watch.loss is not None:
            return WorkerLost(str(watch.loss))
        if watch.interruption is not None or isinstance(error, KeyboardInterrupt):
            return watch.interruption or error
        if not (is_outage(error) or any(words in str(error) for words in _OF_ENGINES)):
            traceback.print_exc()
        kind = WorkerLost if _DISCONNECTED in str(error) else RunStopped
        return kind(failure_text(error))
    return None


@contextmanager
def _no_interactive_beam() -> Iterator[None]:
    """Builds pipelines in a notebook as anywhere else.

    There Beam puts the cell's number before the name of every step, for which it loads interactive
    parts that current pandas breaks.
    """
    original = beam.pipeline.alter_label_if_ipython
    beam.pipeline.alter_label_if_ipython = lambda transform, pvalueish: None
    try:
        yield
    finally:
        beam.pipeline.alter_label_if_ipython = original


def new_pipeline(plan: WorkerPlan, watch: WorkerWatch | None = None) -> beam.Pipeline:
    """An empty pipeline for the planned runner and workers.

    Args:
        plan: With worker processes, Beam's local runner gets ours, see `run.worker_process`.
        watch: Of those processes.
    """
    if not plan.is_local:
        return EnginePipeline(options=PipelineOptions(list(plan.flags)))
    if not plan.starts_processes:
        return beam.Pipeline(options=PipelineOptions(list(plan.flags)))
    assert watch is not None  # runs without one are of this process alone
    flags = [flag for flag in plan.flags if not flag.startswith(MODE)]
    environment = watched_environment(python_command(_WORKER_MODULE), watch)
    runner = FnApiRunner(default_environment=environment)
    return beam.Pipeline(runner=runner, options=PipelineOptions(flags))


def prepare_processes(num_threads: int) -> None:
    """Keeps Beam's chatter off the progress."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    # What a stage raises is logged there with its traceback, and raised again here.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
