"""Calls to a store, tried again with growing pauses where the trouble may pass by itself.

Connections break, servers are busy, answers come too late: over the thousands of requests of a run
that is the rule. What cannot pass (no such file, no permission, a full disk) is raised at once.
The kernel sees to local disks, so their calls are not repeated here.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

PAUSE_VARIABLE = "HIERPROB3D_STORE_PAUSE"
"""Environment variable with the seconds before the second attempt; each later pause is twice as
long."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_ATTEMPTS = 7
"""With the pauses between them half a minute."""

_PAUSE_TOLD = 4.0
"""Shorter pauses are nobody's business; longer ones are told, with their reason."""

_ERRNOS = frozenset({
    errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EPIPE,
    errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ENOTCONN, errno.ENETDOWN,
    errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTUNREACH, errno.EHOSTDOWN, socket.EAI_AGAIN,
})  # fmt: skip

_CLASS_NAMES = frozenset({
    "ClientConnectionError", "ClientPayloadError",  # aiohttp: HTTP, Google, S3
    "HTTPClientError", "ConnectionError", "ConnectTimeoutError", "ReadTimeoutError",  # botocore
    "Timeout", "ChunkedEncodingError", "ProtocolError",  # requests, urllib3
    "ServiceRequestError", "ServiceResponseError",  # Azure
    "TransportError", "ServiceUnavailable", "TooManyRequests",  # Google
})  # fmt: skip
"""Of errors of packages that need not be installed."""

_LASTING_CLASS_NAMES = frozenset({"SSLError", "ClientSSLError", "SSLCertVerificationError"})
"""Connections that are refused for their certificates stay so."""

_CODES = frozenset({
    "RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequests", "InternalError", "ServiceUnavailable", "OperationAborted",
})  # fmt: skip
"""Of S3, some of which come with an HTTP status that says otherwise."""

_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

_EXISTING = frozenset({409, 412})
"""Statuses of a conditional write whose condition does not hold."""

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


def retried(call: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
    """What the call returns, after as many attempts as it needs; its error if none helps."""
    first = float(os.environ.get(PAUSE_VARIABLE, _FIRST_PAUSE))
    attempts = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential_jitter(initial=first, max=_LONGEST_PAUSE, jitter=first),
        retry=retry_if_exception(is_transient),
        before_sleep=_tell,
        reraise=True,
    )
    return attempts(call, *args, **kwargs)


def _tell(state: RetryCallState) -> None:
    pause = state.upcoming_sleep
    if state.outcome is not None and pause >= _PAUSE_TOLD:
        error = state.outcome.exception()
        _log.warning("the store does not answer (%r); next attempt in %.0f s", error, pause)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later.

    Back-ends hide what they were told behind errors of Python's: so an error's declared causes
    count too. An answer of the server counts most.
    """
    errors = list(_causes(error))
    for one in errors:
        verdict = _by_answer(one)
        if verdict is not None:
            return verdict
    return any(_is_transient_kind(one) for one in errors)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    seen = set[int]()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _by_answer(error: BaseException) -> bool | None:
    """Whether the server's answer in an error lets hope; None where there is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and response.get("Error", {}).get("Code") in _CODES:
        return True
    status = _answer(error)
    return None if status is None else status in _STATUSES


def _answer(error: BaseException) -> int | None:
    """HTTP status that a server gave, wherever its library keeps it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    candidates = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    for status in (getattr(response, "status_code", None), *candidates):
        number = int(str(status)) if str(status).isdigit() else 0
        if 400 <= number < 600:
            return number
    return None


def _is_transient_kind(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _LASTING_CLASS_NAMES:
        return False
    if isinstance(error, (TimeoutError, ConnectionError, http.client.IncompleteRead)):
        return True
    return bool(names & _CLASS_NAMES) or getattr(error, "errno", None) in _ERRNOS


def tells_of_existing(error: BaseException) -> bool:
    """Whether a conditional write failed because there is something already."""
    return any(
        isinstance(one, FileExistsError)
        or type(one).__name__ == "ResourceExistsError"
        or _answer(one) in _EXISTING
        for one in _causes(error)
    )
