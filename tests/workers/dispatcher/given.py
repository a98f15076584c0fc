"""What has happened to runs before a test begins, as a dispatcher hears it."""

from __future__ import annotations

from collections.abc import Iterable

from projections.runs.read_model import UnfinishedRun
from workers.dispatcher.dispatcher import Dispatcher


def dispatcher(per_user: int = 100, per_graph: int = 100) -> Dispatcher:
    return Dispatcher(per_user, per_graph)


def create(
    one: Dispatcher, *run_ids: str, user: str = "ada", graph: str = "g", parent: str | None = None
) -> None:
    for run_id in run_ids:
        one.created(run_id, user, graph, parent)


def claim(one: Dispatcher, run_ids: Iterable[str]) -> None:
    for run_id in run_ids:
        one.claimed(run_id)


def in_hand(one: Dispatcher, *run_ids: str) -> None:
    """Runs that were woken up and claimed."""
    create(one, *run_ids)
    assert one.take_due(0) == list(run_ids)
    claim(one, run_ids)


def suspended(one: Dispatcher, *run_ids: str, until: float | None = None, seen: int = 0) -> None:
    in_hand(one, *run_ids)
    for run_id in run_ids:
        one.suspended(run_id, until, seen)


def unfinished(
    run_id: str,
    *,
    parent: str | None = None,
    is_claimed: bool = False,
    is_suspended: bool = False,
    wakes_at: float | None = None,
    seen: int = 0,
    child_ended: int = 0,
    is_paused: bool = False,
    is_stopping: bool = False,
) -> UnfinishedRun:
    return UnfinishedRun(
        *(run_id, "ada", "g", parent, is_claimed, is_suspended, wakes_at, seen, child_ended),
        is_paused=is_paused,
        is_stopping=is_stopping,
    )


def loaded(*known: UnfinishedRun) -> Dispatcher:
    one = dispatcher()
    for run in known:
        one.load(run)
    return one
