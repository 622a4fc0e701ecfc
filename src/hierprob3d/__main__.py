"""`python -m hierprob3d` and the command `hierprob3d`."""

import atexit
import contextlib
import os
import sys

from hierprob3d.module_path import note_command, put_in_order

TYPE_CHECKING = False  # as typing's; see the package's __init__
if TYPE_CHECKING:
    import logging


def main() -> int:
    """Exit code of the command in `sys.argv`; nothing of the current folder shadows a module."""
    atexit.register(_leave)
    put_in_order()
    note_command("hierprob3d.__main__")
    import logging

    from hierprob3d.pipelines.command.cli import main as run_command

    logging.getLogger().addFilter(_is_no_beam_chatter)
    code = run_command()
    _ended.append(code)
    if engine := sys.modules.get("hierprob3d.pipelines.run.engine"):
        engine.end_stopped_jobs()
    return code


_ended: list[int] = []
"""The exit code, once the command has ended."""


def _leave() -> None:
    """Ends the process where Python would begin to take down its libraries.

    That takes half a second and touches 130 MB of PyTorch's pages. What is called at exit is called
    in the opposite order: this is last, after threads have ended and files were removed.
    """
    if not _ended:
        return
    # None where it was closed before. The first stderr: another may be in its place, see `engine`.
    for stream in filter(None, (sys.stdout, sys.__stderr__)):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(_ended[0])


def _is_no_beam_chatter(record: "logging.LogRecord") -> bool:
    """Drops what Beam says on import about Google Cloud libraries, which nobody here needs."""
    return "apitools" not in str(record.msg)


if __name__ == "__main__":
    sys.exit(main())
