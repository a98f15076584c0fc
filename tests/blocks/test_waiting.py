from __future__ import annotations

import msgspec
import pytest

from blocks.contract import BlockFailure
from blocks.waiting import Wait
from domain.limits import run_limits


def delay(seconds: float) -> float:
    return Wait().delay(msgspec.convert({"seconds": seconds}, Wait.Input))


def test_the_delay_is_what_the_seconds_say() -> None:
    assert [delay(seconds) for seconds in (0, 0.25, run_limits.WAIT_SECONDS_MAX)] == [
        0,
        0.25,
        run_limits.WAIT_SECONDS_MAX,
    ]


@pytest.mark.parametrize(
    "seconds", [-1, run_limits.WAIT_SECONDS_MAX + 1, float("inf"), float("nan")]
)
def test_a_time_that_never_comes_is_a_failure(seconds: float) -> None:
    with pytest.raises(BlockFailure, match="seconds must be between"):
        delay(seconds)
