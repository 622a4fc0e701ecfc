"""How the work of a run ends, where it does not end well."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from hierprob3d.pipelines.command.termination import termination_as_interrupt
from hierprob3d.transforms.store.outages import is_outage


class RunStopped(RuntimeError):
    """The work ended before all shards were done."""


class WorkerLost(RunStopped):
    """A worker process ended, perhaps for what it was at."""


def attempt_here(work: Callable[[], None]) -> BaseException | None:
    """Does work in this process to its end; what stopped it, None if nothing did.

    As `execution.attempt`, which does so through Beam: not raised, because what was published until
    then is to be counted first.
    """
    try:
        with termination_as_interrupt():
            work()
    except KeyboardInterrupt as stop:
        return stop
    except Exception as error:
        if not is_outage(error):
            traceback.print_exc()
        return RunStopped(last_line(str(error)) or type(error).__name__)
    return None


def last_line(text: str) -> str:
    """The last line of a message that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
