"""`python -m hierprob3d` and the command `hierprob3d`."""

import sys

from hierprob3d.module_path import note_command, put_in_order

TYPE_CHECKING = False  # as typing's; see the package's __init__
if TYPE_CHECKING:
    import logging


def main() -> int:
    """Exit code of the command in `sys.argv`; nothing of the current folder shadows a module."""
    put_in_order()
    note_command("hierprob3d.__main__")
    import logging

    from hierprob3d.pipelines.command.cli import main as run_command

    logging.getLogger().addFilter(_is_no_beam_chatter)
    code = run_command()
    if engine := sys.modules.get("hierprob3d.pipelines.run.engine"):
        engine.leave_stopped_jobs(code)
    return code


def _is_no_beam_chatter(record: "logging.LogRecord") -> bool:
    """Drops what Beam says on import about Google Cloud libraries, which nobody here needs."""
    return "apitools" not in str(record.msg)


if __name__ == "__main__":
    sys.exit(main())
