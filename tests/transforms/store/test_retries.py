"""Calls to stores: repeated where that may help, raised at once where it cannot."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable

import pytest
from flaky_store import TRANSIENT, ClientError

from hierprob3d.transforms.store.retries import (
    PAUSE_VARIABLE,
    is_transient,
    retried,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAUSE_VARIABLE, "0.001")


@pytest.mark.parametrize("error", TRANSIENT)
def test_what_may_pass_is_tried_again(error: Callable[[], Exception]) -> None:
    assert is_transient(error())
    outcomes = [error(), error(), "answer"]

    def call() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert retried(call) == "answer"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "none"),
        PermissionError(errno.EACCES, "no"),
        NotADirectoryError(errno.ENOTDIR, "no"),
        IsADirectoryError(errno.EISDIR, "no"),
        OSError(errno.ENOSPC, "full"),
        OSError("not a regular file"),
        ssl.SSLCertVerificationError("expired"),
        ClientError("AccessDenied", 403),
        ClientError("NoSuchKey", 404),
        ValueError("no"),
        KeyboardInterrupt(),
    ],
)
def test_what_cannot_pass_is_raised_at_once(error: BaseException) -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retried(call)
    assert len(calls) == 1


def test_an_answer_counts_more_than_the_error_it_became() -> None:
    denied = OSError(errno.EIO, "an error of an unknown kind")
    denied.__cause__ = ClientError("InvalidArgument", 400)
    assert not is_transient(denied)
    missing = FileNotFoundError("https://host/a.png")
    assert not is_transient(missing)
    missing.__cause__ = ConnectionResetError()
    assert is_transient(missing)


def test_in_the_end_the_error_is_raised() -> None:
    def call() -> None:
        raise ConnectionResetError("again and again")

    with pytest.raises(ConnectionResetError, match="again and again"):
        retried(call)


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAUSE_VARIABLE, "0.5")
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    with pytest.raises(TimeoutError):
        retried(lambda: (_ for _ in ()).throw(TimeoutError()))
    assert len(pauses) == 6 and pauses == sorted(pauses)
    assert 0.5 <= pauses[0] <= 1 and 30 < sum(pauses) < 40
