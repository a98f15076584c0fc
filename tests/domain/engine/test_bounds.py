"""One event may bring many deliveries: they have a bound, and come in portions."""

from __future__ import annotations

import pytest

from domain.engine.evolve import begin, evolve, route_on
from domain.engine.run import Run
from domain.limits import run_limits
from domain.runs import NodeCompleted
from tests.domain.engine.given import Given

ITEMS, SINKS = 200, 150
PINS = (("x", "a"), ("y", "b"))
MANY = NodeCompleted(0, "x", [("out", item) for item in range(ITEMS)], elapsed_us=1)


def fan(pin: str = "a", steps_max: int = 5_000) -> Run:
    """A source over whose links each value goes to many sinks."""
    links = [f"x.out > s{number}.{pin}" for number in range(SINKS)]
    return Given(*links, steps_max=steps_max).run


def test_a_run_never_has_more_executions_than_its_budget_allows() -> None:
    run = fan()
    evolve(run, MANY)
    assert run.count == run.steps == 5_001
    assert run.over_budget == "The run used up its budget of 5000 node executions"


@pytest.mark.holds("S19")
def test_executions_that_wait_for_inputs_have_a_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_limits, "RUN_WAITING_MAX", 3_000)
    both = [f"{source}.out > s{number}.{pin}" for number in range(SINKS) for source, pin in PINS]
    run = Given(*both).run
    evolve(run, MANY)
    assert run.waiting == 3_000
    assert run.over_budget == "More than 3000 node executions wait for inputs"


def test_many_deliveries_come_in_portions_and_in_the_same_order() -> None:
    whole, portioned = fan(steps_max=100_000), fan(steps_max=100_000)
    evolve(whole, MANY)
    portions = 1
    begin(portioned, MANY)
    while portioned.routing is not None:
        assert portioned.count <= 1 + portions * run_limits.ROUTE_PORTION
        route_on(portioned)
        portions += 1
    assert portions > ITEMS * SINKS // run_limits.ROUTE_PORTION
    given = [e.data for e in portioned.ready.values()]
    assert given == [e.data for e in whole.ready.values()]


class Ticking:
    """A clock that goes on by a millisecond each time that it is looked at."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.001
        return self._now


def test_a_portion_ends_after_its_time_however_few_deliveries_it_has() -> None:
    run = fan(steps_max=100_000)
    clock = Ticking()
    most = run_limits.ROUTE_SECONDS * 1_000
    begin(run, MANY, clock=clock)
    assert 1 < run.count <= 1 + most
    route_on(run, clock)
    assert most < run.count <= 1 + 2 * most


def test_links_that_carry_nothing_take_their_time_too() -> None:
    links = [f"x.out_#_missing > s{number}.a" for number in range(SINKS)]
    run = Given(*links).run
    begin(run, MANY, clock=Ticking())
    assert run.routing is not None


def test_those_that_waited_for_a_static_value_are_released_in_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Given("x.out > s.a", "y.out => s.b").run
    evolve(run, MANY)
    assert run.waiting == ITEMS
    monkeypatch.setattr(run_limits, "ROUTE_PORTION", 10)
    begin(run, NodeCompleted(1, "y", [("out", 1)], elapsed_us=1))
    assert ITEMS - 11 <= run.waiting < ITEMS
    while run.routing is not None:
        before = run.waiting
        route_on(run)
        assert before - 10 <= run.waiting
    assert run.waiting == 0


def test_the_next_event_finds_everything_delivered() -> None:
    run = fan(steps_max=100_000)
    begin(run, MANY)
    assert run.count < ITEMS * SINKS
    with pytest.raises(AssertionError):
        run.first_ready()
    begin(run, NodeCompleted(1, "s0", [], elapsed_us=1))
    assert run.count == 1 + ITEMS * SINKS
