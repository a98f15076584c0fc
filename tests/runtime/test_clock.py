"""A process that follows the database's clock, whatever its own says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runtime import clock

AN_HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Ticks:
    """A monotonic clock that a test moves, and a clock by it that follows another one."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.clock = clock.Clock(lambda: BEGINNING, lambda: self.seconds)

    def told(self, moment: datetime, after: float) -> None:
        """Ask the other clock, and have its answer after so many seconds."""
        asked_at = self.seconds
        self.seconds += after
        self.clock.follow(moment, asked_at)


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.mark.parametrize("offset", [AN_HOUR, -AN_HOUR])
def test_it_goes_on_from_the_moment_that_the_other_clock_said(
    ticks: Ticks, offset: timedelta
) -> None:
    ticks.told(BEGINNING + offset, after=0.0)
    ticks.seconds += 2
    assert ticks.clock.now() == BEGINNING + offset + 2 * SECOND


def test_a_late_answer_does_not_set_it_back(ticks: Ticks) -> None:
    ticks.told(BEGINNING, after=0.0)
    ticks.told(BEGINNING, after=3.0)
    assert ticks.clock.now() == BEGINNING + 3 * SECOND


def test_a_quick_answer_after_a_late_one_sets_it_forward(ticks: Ticks) -> None:
    ticks.told(BEGINNING, after=3.0)
    assert ticks.clock.now() == BEGINNING
    ticks.told(BEGINNING + 3 * SECOND, after=0.0)
    assert ticks.clock.now() == BEGINNING + 3 * SECOND


def test_it_is_never_ahead_of_what_can_be(ticks: Ticks) -> None:
    ticks.told(BEGINNING + AN_HOUR, after=0.0)
    ticks.told(BEGINNING, after=1.0)
    assert ticks.clock.now() == BEGINNING + SECOND


def test_it_can_go_by_its_own_clock_again(ticks: Ticks) -> None:
    ticks.told(BEGINNING + AN_HOUR, after=0.0)
    ticks.clock.stop_following()
    assert ticks.clock.now() == BEGINNING


def test_a_process_has_one_clock() -> None:
    try:
        clock.follow(datetime.now(UTC) + AN_HOUR, clock.monotonic())
        assert clock.now() > datetime.now(UTC) + AN_HOUR - SECOND
    finally:
        clock.stop_following()
    assert abs(clock.now() - datetime.now(UTC)) < SECOND
