"""The worker process of a local run: Beam's own, which leaves with its run and keeps quiet.

Started by the runner as `python -m pipelines.worker`, see `pipelines.execution`.
"""

from __future__ import annotations

import logging
import os
import sys

from transforms.locking import leave_with


def main() -> None:
    """Serves the runner that started this process until it is done."""
    leave_with(os.getppid())
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
