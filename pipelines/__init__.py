"""Pipelines and the command line: wiring and options, no mathematics."""

import logging


def _is_no_beam_chatter(record: logging.LogRecord) -> bool:
    """Drops what Beam says on import about Google Cloud libraries, which nobody here needs."""
    return "apitools" not in str(record.msg)


logging.getLogger().addFilter(_is_no_beam_chatter)
