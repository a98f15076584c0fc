"""What must hold when a simulation is over, whatever has happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from domain import events
from domain.runs import (
    FROM_OUTSIDE,
    NodeDeferred,
    NodeFailed,
    NodeStarted,
    RunClaimed,
    RunEnd,
    RunFailed,
    RunParked,
    RunSuspended,
    run_of,
)
from projections.projection import Recorded
from projections.runs import changes
from projections.runs import read_model as run_model
from tests.simulation import statements
from tests.simulation.database import Server
from tests.simulation.graphs import WAIT_SECONDS_MAX
from tests.simulation.people import Started
from tests.simulation.statements import Session
from tests.simulation.tables import Row, RunRow, Tables
from tests.support.budget_rules import check_budgets
from tests.support.invariants import check_accounts, check_effects
from tests.support.run_rules import Fact, Repository, check_families, check_run, created

IDLE_CLAIMS_MAX = 6
"""So often may a run be taken up and put down again with nothing done in between."""
CLOCKS_DIFFER_SECONDS = 1.0
REPEAT_NEEDS_ANOTHER = "an effect was repeated by the worker that had it at work"


def facts_of(tables: Tables) -> tuple[Repository, Repository]:
    """The streams of all runs and of all accounts, by the id of the run or user."""
    found: defaultdict[str, defaultdict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for row in tables.rows:
        noun, _, name = row.stream.partition("-")
        fact = Fact(row.position, row.recorded_at, row.actor, events.decode(row.topic, row.state))
        found[noun][name].append(fact)
    return found["run"], found["credits"]


def check(server: Server, started: Sequence[Started], seen: Mapping[str, int]) -> None:
    """Raises AssertionError for what is broken. The names are those of `invariants.py`."""
    runs, accounts = facts_of(server.tables)
    meant = [run_id for run_id, facts in runs.items() if created(facts).parent is None]
    assert sorted(meant) == sorted(run.run_id for run in started), "I1: each start, once"
    for run_id, facts in runs.items():
        check_run(run_id, facts)
        check_moves(run_id, facts)
        check_moments(run_id, facts)
    check_families(runs)
    check_budgets(runs)
    check_effects(runs, seen)
    check_accounts(accounts, runs)
    check_read_model(server)


def check_moves(run_id: str, facts: Iterable[Fact]) -> None:
    """Nothing is done again for no reason, and nobody takes a run up again and again for nothing.

    The worker that has an effect at work need not repeat it.
    """
    idle = 0
    at_work: dict[int, str] = {}
    worker = ""
    for fact in facts:
        event = fact.event
        if isinstance(event, RunClaimed | RunSuspended):
            idle += isinstance(event, RunClaimed)
            worker = event.worker if isinstance(event, RunClaimed) else ""
            # Whose it was before another took the run does not matter any more.
            at_work = {number: one for number, one in at_work.items() if one == worker}
        elif not isinstance(event, FROM_OUTSIDE):
            idle = 0
        assert idle <= IDLE_CLAIMS_MAX, f"run {run_id} is taken up for nothing, again and again"
        if isinstance(event, NodeStarted):
            is_repeated = event.repeats and at_work.get(event.execution) == worker
            assert not is_repeated, f"{REPEAT_NEEDS_ANOTHER}: {worker}, run {run_id}"
            at_work[event.execution] = worker
        elif hasattr(event, "execution"):
            at_work.pop(event.execution, None)
        assert not isinstance(event, RunParked), f"run {run_id} was parked"
        blamed = isinstance(event, RunFailed) and "Parked" in event.error
        assert not blamed, f"run {run_id} was given up for what others did"


def check_moments(run_id: str, facts: Iterable[Fact]) -> None:
    """A wait takes as long as it should by the database's clock, whatever other clocks say."""
    slack = timedelta(seconds=CLOCKS_DIFFER_SECONDS)
    waits: dict[int, NodeDeferred] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, NodeDeferred):
            waits[event.execution] = event
            most = timedelta(seconds=WAIT_SECONDS_MAX) + slack
            assert event.until - fact.at <= most, f"run {run_id} waits too long"
        elif hasattr(event, "execution") and event.execution in waits:
            wait = waits.pop(event.execution)
            assert fact.at >= wait.until - slack, f"run {run_id} did not wait"


def check_read_model(server: Server) -> None:
    """I4: the read model is what a rebuild from the log makes of it."""
    fresh = Server(server._loop, server._chance, Tables(), server._outside)
    session = Session(fresh, fresh.connect())
    for row in server.tables.rows:
        if row.topic in changes.TOPICS:
            _apply(session, row)
    assert _shown(fresh.tables.runs) == _shown(server.tables.runs), "I4: it differs from a rebuild"


def with_failed_nodes(tables: Tables) -> set[str]:
    """The runs a node of which has failed, or of a run that is a part of them."""
    runs, _ = facts_of(tables)
    failed: set[str] = set()
    # A sub-graph's run is created after its parent's.
    for run_id, facts in reversed(list(runs.items())):
        parent = created(facts).parent
        if run_id in failed or any(isinstance(fact.event, NodeFailed) for fact in facts):
            failed.add(run_id)
            if parent is not None:
                failed.add(parent.run_id)
    return failed


def unended(tables: Tables, but: Iterable[str] = ()) -> list[str]:
    """The runs that have not ended, but for some and their families."""
    left = set(but)
    ends = []
    for stream, rows in tables.repository.items():
        if stream.startswith("run-"):
            opening = events.decode(rows[0].topic, rows[0].state)
            parent = getattr(opening, "parent", None)
            if parent is not None and parent.run_id in left:
                left.add(run_of(stream))
            if not isinstance(events.decode(rows[-1].topic, rows[-1].state), RunEnd):
                ends.append(run_of(stream))
    return [run_id for run_id in ends if run_id not in left]


def _apply(session: Session, row: Row) -> None:
    entry = row.log_event
    recorded = Recorded(
        *(entry.position, entry.stream, entry.version, entry.owner, entry.recorded_us),
        event=entry.decode(),
    )
    folded = changes.fold([recorded])
    encode = msgspec.json.encode
    if folded.new_runs:
        statements.find(run_model.INSERT)(session, (encode(folded.new_runs).decode(),))
    if folded.changes:
        statements.find(run_model.UPDATE)(
            session, (encode(list(folded.changes.values())).decode(),)
        )


def _shown(rows: Mapping[str, RunRow]) -> dict[str, dict[str, object]]:
    return {run_id: dict(row) for run_id, row in sorted(rows.items())}
