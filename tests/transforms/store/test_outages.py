"""Full disks and lost connections are told from mistakes and defects."""

from __future__ import annotations

import errno
import os

import pytest

from hierprob3d.transforms.store.outages import is_outage


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/people/x"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        ConnectionResetError(),
        RuntimeError(
            "Traceback\n  File x\nOSError: [Errno 28] No space left on device [while running 'P']"
        ),
    ],
)
def test_outages(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "no"),
        FileNotFoundError(errno.ENOENT, "none"),
        ValueError("No space left on device"),
        RuntimeError("OSError: [Errno 28] No space left on device\nValueError: a defect after it"),
        RuntimeError(),
    ],
)
def test_no_outages(error: Exception) -> None:
    assert not is_outage(error)
