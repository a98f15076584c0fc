"""How often workers died over a run, and what is concluded from that."""

from __future__ import annotations

import pytest

from domain.engine.run import Run
from domain.events import Event
from domain.limits import worker_limits
from domain.runs import (
    NodeCompleted,
    NodeStarted,
    RunClaimed,
    RunStats,
    RunSuspended,
)
from tests.domain.engine.given import created, plan
from tests.domain.engine.test_forks import folded

LINKS = ("x.out > s.a", "y.out > s.b")


def claims(*workers: str) -> list[Event]:
    return [RunClaimed(worker) for worker in workers]


def run_after(*happened: Event) -> Run:
    return folded(plan(*LINKS), list(happened), created())


def deaths(run: Run, *living: str) -> int:
    return run.suspicion("next", living).deaths


def test_a_worker_that_went_away_in_the_middle_may_have_died() -> None:
    assert deaths(run_after()) == 0
    assert deaths(run_after(*claims("a"))) == 1
    assert deaths(run_after(*claims("a", "b", "c"))) == 3
    assert run_after(*claims("a")).suspicion("a").deaths == 0


def test_who_came_back_has_not_died() -> None:
    run = run_after(*claims("a", "b", "a", "c"))
    assert run.lost_workers() == {"a", "b", "c"}
    assert deaths(run) == 3
    assert deaths(run, "a") == 2
    assert deaths(run, "a", "b", "c") == 0


def test_a_result_clears_the_run_and_a_rest_too() -> None:
    progressed = NodeCompleted(0, "x", [], elapsed_us=1)
    assert deaths(run_after(*claims("a", "b"), progressed)) == 1
    assert deaths(run_after(*claims("a", "b"), RunSuspended(RunStats()))) == 0


def test_an_effect_stays_suspect_while_others_progress() -> None:
    run = run_after(
        RunClaimed("a"),
        NodeStarted(0, "x", 1),
        *claims("b", "c"),
        NodeCompleted(1, "y", [], elapsed_us=1),
    )
    suspicion = run.suspicion("next")
    assert (suspicion.deaths, suspicion.subject) == (3, "the node x (StepBlock)")
    started = NodeStarted(0, "x", 2, repeats=True)
    again = [RunClaimed("a"), NodeStarted(0, "x", 1), RunClaimed("b"), started]
    assert deaths(run_after(*again)) == 2
    done = NodeCompleted(0, "x", [], elapsed_us=1)
    assert deaths(run_after(*again, done)) == 1


def test_the_more_deaths_the_closer_the_watch() -> None:
    few = run_after(*claims(*(f"w{n}" for n in range(worker_limits.SUSPECT_DEATHS - 1))))
    assert not few.suspicion("next").is_any
    some = run_after(*claims(*(f"w{n}" for n in range(worker_limits.SUSPECT_DEATHS)))).suspicion(
        "next"
    )
    assert (some.is_any, some.wants_to_be_alone, some.is_proof) == (True, False, False)
    assert some.watch_seconds == worker_limits.WATCH_SECONDS
    seconds = []
    for count in range(worker_limits.ALONE_DEATHS, worker_limits.DEATHS_MAX):
        suspicion = run_after(*claims(*(f"w{n}" for n in range(count)))).suspicion("next")
        assert suspicion.wants_to_be_alone
        assert not suspicion.is_proof
        seconds.append(suspicion.watch_seconds)
    assert seconds[:2] == [worker_limits.ALONE_SECONDS, 2 * worker_limits.ALONE_SECONDS]
    assert seconds[-1] == worker_limits.ALONE_SECONDS_MAX
    most = run_after(*claims(*(f"w{n}" for n in range(worker_limits.DEATHS_MAX))))
    assert most.suspicion("next").is_proof


def test_deaths_alone_are_proof() -> None:
    alone = [RunClaimed(f"w{n}", alone=True) for n in range(worker_limits.ALONE_DEATHS_MAX)]
    run = run_after(*claims("a", "b"), *alone)
    assert run.suspicion("next").is_proof
    assert not run.suspicion("next", {"w0"}).is_proof


def test_who_survived_the_watch_is_alone_no_more() -> None:
    survived = [RunClaimed("w", alone=True), RunClaimed("w")]
    run = run_after(*claims("a", "b"), *survived)
    assert not run.is_alone
    suspicion = run.suspicion("next")
    assert (suspicion.deaths, suspicion.alone) == (3, 0)


@pytest.mark.parametrize("lost", [0, 1])
def test_progress_ends_the_watch_unless_a_suspect_effect_is_at_work(lost: int) -> None:
    run = run_after(
        *claims("a")[:lost],
        RunClaimed("b", alone=True),
        NodeStarted(0, "x", 1),
        RunClaimed("c", alone=True),
        NodeCompleted(1, "y", [], elapsed_us=1),
    )
    assert run.is_alone
    evolved = run_after(
        *claims("a")[:lost],
        RunClaimed("b", alone=True),
        NodeCompleted(1, "y", [], elapsed_us=1),
    )
    assert not evolved.is_alone
    assert deaths(evolved) == 1


def test_what_is_remembered_is_bounded() -> None:
    run = run_after(*claims(*(f"w{n}" for n in range(2 * worker_limits.LOSSES_MAX))))
    assert len(run.lost) == worker_limits.LOSSES_MAX
    assert run.lost[-1].worker == f"w{2 * worker_limits.LOSSES_MAX - 2}"
