from __future__ import annotations

import asyncio
from contextlib import suppress

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


async def test_who_waits_is_let_through_at_the_rate() -> None:
    bucket, began = TokenBucket(rate=100, burst=2), clock.monotonic()
    await asyncio.gather(*(bucket.turn() for _ in range(12)))
    assert clock.monotonic() - began >= (12 - 2) / 100


async def test_who_leaves_while_it_waits_takes_no_turn(time: list[float]) -> None:
    bucket = TokenBucket(rate=1, burst=1)
    await bucket.turn()
    waiting = asyncio.create_task(bucket.turn())
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert not bucket.take()
    time[0] += 1
    assert bucket.take()
