"""The worker process of a local run: Beam's own, which leaves with its run and keeps quiet.

Started by the runner as a module, see `pipelines.run.execution`.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from hierprob3d.transforms.store.locking import leave_with

from .lost_worker import DONE_SUFFIX, LOG_PREFIX

STOP_FILE_VARIABLE = "HIERPROB3D_STOP_FILE"
"""Environment variable with the path of a file that tells workers to leave."""

LOG_FOLDER_VARIABLE = "HIERPROB3D_WORKER_LOGS"
"""Environment variable with the folder of the files that take the workers' stderr."""

_CONTROL_VARIABLE = "CONTROL_API_SERVICE_DESCRIPTOR"
_SECONDS_TO_CONNECT = 20.0
"""Within one machine it takes milliseconds; Beam would try for two minutes."""


def main() -> None:
    """Serves the runner that started this process until it is done."""
    stop_file = os.environ.get(STOP_FILE_VARIABLE)
    leave_with(os.getppid(), Path(stop_file) if stop_file else None)
    _hush()
    # Imported late: Beam complains about missing cloud libraries while it is imported.
    from apache_beam.runners.worker import sdk_worker_main

    _check_connection()
    sdk_worker_main.main(sys.argv)
    _tell_that_it_is_done()


def _hush() -> None:
    """Lets errors through to stderr; the rest would mix with the progress of the run."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)


def _tell_that_it_is_done() -> None:
    folder = os.environ.get(LOG_FOLDER_VARIABLE)
    if folder and os.path.isdir(folder):  # it goes with the run
        (Path(folder) / f"{LOG_PREFIX}{os.getpid()}{DONE_SUFFIX}").touch()


def _check_connection() -> None:
    """Ends this process in one line if the runner cannot be reached."""
    import grpc
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import text_format

    runner = endpoints_pb2.ApiServiceDescriptor()
    text_format.Parse(os.environ[_CONTROL_VARIABLE], runner)
    with grpc.insecure_channel(runner.url) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_SECONDS_TO_CONNECT)
        except grpc.FutureTimeoutError:
            sys.exit(
                f"the run could not be reached at {runner.url} within {_SECONDS_TO_CONNECT:g} s; "
                "is the name localhost known here, and the loopback device up?"
            )
