"""The worker process of a local run: Beam's own, which leaves with its run and keeps quiet.

Started by the runner as a module, see `pipelines.run.execution`.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from hierprob3d.transforms.store.locking import leave_with

STOP_FILE_VARIABLE = "HIERPROB3D_STOP_FILE"
"""Environment variable with the path of a file that tells workers to leave."""


def main() -> None:
    """Serves the runner that started this process until it is done."""
    stop_file = os.environ.get(STOP_FILE_VARIABLE)
    leave_with(os.getppid(), Path(stop_file) if stop_file else None)
    _hush()
    # Imported late: Beam complains about missing cloud libraries while it is imported.
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _hush() -> None:
    """Lets errors through to stderr; the rest would mix with the progress of the run."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)


if __name__ == "__main__":
    main()
