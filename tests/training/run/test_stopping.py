from __future__ import annotations

import os
import signal

import pytest

from hierprob3d.training.run.stopping import StopRequest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_is_noted_once_and_then_acts_as_before(number: signal.Signals, code: int) -> None:
    handled = []
    former = signal.signal(number, lambda *_: handled.append(number))
    try:
        with StopRequest() as stop:
            assert stop.reason is None and stop.exit_code == 0
            os.kill(os.getpid(), number)
            assert stop.reason == number.name and stop.exit_code == code
            assert not handled
            os.kill(os.getpid(), number)
            assert handled == [number]
        os.kill(os.getpid(), number)
        assert len(handled) == 2
    finally:
        signal.signal(number, former)


def test_time_is_over_after_the_minutes_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("hierprob3d.training.run.stopping.time.monotonic", lambda: now[0])
    stop = StopRequest(max_minutes=9.5)
    now[0] += 9.4 * 60
    assert stop.reason is None
    now[0] += 0.2 * 60
    assert stop.reason == "max_minutes=9.5" and stop.exit_code == 0
