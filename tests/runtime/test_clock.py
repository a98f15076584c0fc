"""A process that follows the database's clock, whatever its own says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from runtime import clock

AN_HOUR = timedelta(hours=1)
SOON = timedelta(seconds=5)


@pytest.fixture(autouse=True)
def own_clock_again() -> Iterator[None]:
    yield
    clock.follow(None)


@pytest.mark.parametrize("offset", [AN_HOUR, -AN_HOUR])
def test_it_goes_on_from_the_moment_that_the_other_clock_said(offset: timedelta) -> None:
    said = datetime.now(UTC) + offset
    clock.follow(said)
    first, second = clock.now(), clock.now()
    assert said <= first <= second < said + SOON


def test_it_can_go_by_its_own_clock_again() -> None:
    clock.follow(datetime.now(UTC) + AN_HOUR)
    clock.follow(None)
    assert abs(clock.now() - datetime.now(UTC)) < SOON
