from __future__ import annotations

import pytest

from api.live.rate import TokenBucket
from runtime import clock


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The one number is the monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_a_burst_passes_at_once_and_the_rate_in_the_long_run(time: list[float]) -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]
    time[0] += 1
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_silence_saves_no_more_than_a_burst(time: list[float]) -> None:
    bucket = TokenBucket(rate=2, burst=3)
    time[0] += 1_000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
