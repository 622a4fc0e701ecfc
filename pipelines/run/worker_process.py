"""The worker process of a local run: Beam's own, which leaves with its run and keeps quiet.

Started by the runner as a module, see `pipelines.run.worker_handler`.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from hierprob3d.transforms.store.locking import leave_with
from hierprob3d.transforms.tables.arrow_alone import leave_pandas_out

STOP_FILE_VARIABLE = "HIERPROB3D_STOP_FILE"
"""Environment variable with the path of a file that tells workers to leave."""

CONTROL_VARIABLE = "CONTROL_API_SERVICE_DESCRIPTOR"
"""Environment variable with the address of the runner, as Beam has it."""

_SECONDS_TO_CONNECT = 20.0
"""Within one machine it takes milliseconds; Beam would try for two minutes."""


def main() -> None:
    """Serves the runner that started this process until it is done."""
    stop_file = os.environ.get(STOP_FILE_VARIABLE)
    leave_with(os.getppid(), Path(stop_file) if stop_file else None)
    _hush()
    leave_pandas_out()
    # Imported late: Beam complains about missing cloud libraries while it is imported.
    from apache_beam.runners.worker import sdk_worker_main

    _check_connection()
    sdk_worker_main.main(sys.argv)


def _hush() -> None:
    """Lets errors through to stderr; the rest would mix with the progress of the run."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)


def _check_connection() -> None:
    """Ends this process in one line if the runner cannot be reached."""
    import grpc
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import text_format

    runner = endpoints_pb2.ApiServiceDescriptor()
    text_format.Parse(os.environ[CONTROL_VARIABLE], runner)
    with grpc.insecure_channel(runner.url) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_SECONDS_TO_CONNECT)
        except grpc.FutureTimeoutError:
            sys.exit(
                f"the run could not be reached at {runner.url} within {_SECONDS_TO_CONNECT:g} s; "
                "is the name localhost known here, and the loopback device up?"
            )
