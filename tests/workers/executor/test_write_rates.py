"""How fast the runs of a user may write, and that others write as before."""

from __future__ import annotations

import pytest

from runtime import clock
from workers.executor import write_rates as module
from workers.executor.write_rates import BURST_SECONDS, WriteRates

RATE = 1_000
BURST = int(RATE * BURST_SECONDS)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The one number is the monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_a_burst_is_free_and_what_is_beyond_it_takes_its_time(time: list[float]) -> None:
    paces = WriteRates(RATE, lambda: 1)
    assert paces.seconds_ahead("ada") == 0
    paces.wrote("ada", BURST)
    assert paces.seconds_ahead("ada") == 0
    paces.wrote("ada", 3 * RATE)
    assert paces.seconds_ahead("ada") == pytest.approx(3)
    time[0] += 2
    assert paces.seconds_ahead("ada") == pytest.approx(1)


def test_silence_saves_no_more_than_a_burst(time: list[float]) -> None:
    paces = WriteRates(RATE, lambda: 1)
    paces.wrote("ada", 1)
    time[0] += 1_000
    paces.wrote("ada", BURST + RATE)
    assert paces.seconds_ahead("ada") == pytest.approx(1)


def test_users_share_no_pace_and_processes_do(time: list[float]) -> None:
    paces = WriteRates(RATE, lambda: 4)
    paces.wrote("ada", BURST)
    assert paces.seconds_ahead("ada") == pytest.approx(3 * BURST_SECONDS)
    assert paces.seconds_ahead("eve") == 0


def test_of_many_users_those_who_are_ahead_are_remembered(
    time: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    paces = WriteRates(RATE, lambda: 1)
    paces.wrote("ada", 100 * RATE)
    for number in range(50):
        time[0] += 1
        paces.wrote(f"user {number}", 1)
    assert paces.seconds_ahead("ada") == pytest.approx(100 - BURST_SECONDS - 50)
    assert len(paces._level_at) <= 10
