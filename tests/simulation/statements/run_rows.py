"""The read model of runs: how it is kept, and what the publisher and the sweeper find in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from projections import checkpoints, runner
from projections.runs import read_model as run_model
from tests.simulation.statements.session import NOTHING, Answer, Session, Work, nothing
from tests.simulation.tables import RunRow
from workers import sweeper
from workers.executor import strays


def _ensure_checkpoints(session: Session, parameters: Sequence[Any]) -> Answer:
    for name in parameters[0]:
        session.tracking.setdefault(name, 0)
    return NOTHING


def _select_checkpoints(session: Session, parameters: Sequence[Any]) -> Answer:
    found = [(name, session.tracking[name]) for name in parameters[0] if name in session.tracking]
    return found, len(found)


def _advance_checkpoints(session: Session, parameters: Mapping[str, Any]) -> Answer:
    session.lock()
    moved = 0
    for name, seen in zip(parameters["names"], parameters["seen"], strict=True):
        if session.tracking.get(name) == seen:
            session.move(name, parameters["position"])
            moved += 1
    return (), moved


NEW_RUN: RunRow = {
    "status": "QUEUED",
    "worker": None,
    "suspended": False,
    "parked": None,
    "wakes_at": None,
    "reviews": 0,
    "children": 0,
    "child_ended": 0,
    "seen": 0,
    "paused": False,
    "stopping": False,
    "started_at": None,
    "ended_at": None,
}
LAID_OVER = ("child_ended", "seen", "paused", "stopping", "ended_at", "error", "outcome", "steps")
MOMENTS = ("created_at", "wakes_at", "started_at", "ended_at")


def _insert_runs(session: Session, parameters: Sequence[Any]) -> Answer:
    for given in _rows(parameters):
        assert given["run_id"] not in session.runs, "a row is inserted once"
        session.runs[given["run_id"]] = {**NEW_RUN, **given}
    return NOTHING


def _update_runs(session: Session, parameters: Sequence[Any]) -> Answer:
    for new in _rows(parameters):
        old = session.runs[new["run_id"]]
        session.runs[new["run_id"]] = _updated(old, new)
    return NOTHING


def _updated(old: RunRow, new: RunRow) -> RunRow:
    row = dict(old)
    has_moved = new.get("moved", False)
    reviews = old["reviews"] + (new.get("reviews_at_suspension") or 0)
    if new.get("status") is not None:
        row["status"] = new["status"]
    elif reviews > 0 and new.get("reviews_at_suspension") is not None:
        row["status"] = "REVIEW"
    elif has_moved and new.get("parked") is None:
        row["status"] = "RUNNING"
    if has_moved:
        row["worker"], row["parked"] = new.get("worker"), new.get("parked")
        row["suspended"] = new.get("suspended", False)
        row["wakes_at"] = new.get("wakes_at")
    elif new.get("wakes_at") is not None:
        row["wakes_at"] = new["wakes_at"]
    row["reviews"] += new.get("reviews", 0)
    row["children"] += new.get("children", 0)
    row |= {name: new[name] for name in LAID_OVER if new.get(name) is not None}
    row["started_at"] = old["started_at"] or new.get("started_at")
    row["position"] = new["position"]
    return row


def _rows(parameters: Sequence[Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(parameters[0])
    for row in rows:
        row |= {name: datetime.fromisoformat(row[name]) for name in MOMENTS if row.get(name)}
    return rows


def _load_unfinished(session: Session, _: Any) -> Answer:
    rows = [row for row in session.runs.values() if row["ended_at"] is None]
    rows.sort(key=lambda row: (row["created_at"], row["run_id"]))
    return [
        (
            *(row["run_id"], row["user_id"], row["graph_id"], row["parent_id"]),
            *(row["worker"] is not None, row["suspended"]),
            row["wakes_at"].timestamp() if row["wakes_at"] else None,
            *(row["seen"], row["child_ended"], row["paused"], row["stopping"]),
        )
        for row in rows
    ], len(rows)


def _find_abandoned(session: Session, parameters: Mapping[str, Any]) -> Answer:
    after = parameters["user_id"], parameters["run_id"]
    rows = [
        (row["user_id"], row["run_id"], row["worker"])
        for row in session.runs.values()
        if row["worker"] is not None and row["worker"] not in parameters["living"]
    ]
    found = sorted(row for row in rows if row[:2] > after)[: parameters["limit"]]
    return found, len(found)


def _find_own(session: Session, parameters: Mapping[str, Any]) -> Answer:
    found = sorted(
        (row["run_id"], row["position"])
        for row in session.runs.values()
        if row["worker"] == parameters["worker"] and row["run_id"] not in parameters["known"]
    )[: parameters["limit"]]
    return found, len(found)


def _find_forgotten(session: Session, parameters: Mapping[str, Any]) -> Answer:
    busy = {row["user_id"] for row in session.runs.values() if row["worker"] is not None}
    wanting: dict[str, tuple[Any, ...]] = {}
    for row in session.runs.values():
        user, since = row["user_id"], _wanting_since(row, session.moment)
        if since is not None and user > parameters["user_id"] and user not in busy:
            one = (since, row["run_id"], row["position"])
            wanting[user] = min(wanting.get(user, one), one)
    found = [(user, *wanting[user][1:]) for user in sorted(wanting)][: parameters["limit"]]
    return found, len(found)


def _wanting_since(row: RunRow, moment: datetime) -> datetime | None:
    """Since when the run has wanted a worker that it does not get."""
    if row["paused"] or row["worker"] is not None or row["ended_at"] is not None:
        return None
    since: datetime = row["created_at"]
    if not row["suspended"] or row["child_ended"] > row["seen"]:
        return since
    wakes_at: datetime | None = row["wakes_at"]
    return wakes_at if wakes_at is not None and wakes_at <= moment else None


def _find_orphans(session: Session, parameters: Mapping[str, Any]) -> Answer:
    after = parameters["parent_id"], parameters["run_id"]
    rows = [
        (row["parent_id"], row["run_id"])
        for row in session.runs.values()
        if row["parent_id"] is not None
        and row["ended_at"] is None
        and not row["stopping"]
        and session.runs[row["parent_id"]]["ended_at"] is not None
    ]
    found = sorted(row for row in rows if row > after)[: parameters["limit"]]
    return found, len(found)


WORK: Mapping[str, Work] = {
    runner.PREFER_INDEXES: nothing,
    runner.ENSURE: _ensure_checkpoints,
    checkpoints.SELECT: _select_checkpoints,
    runner.ADVANCE: _advance_checkpoints,
    run_model.INSERT: _insert_runs,
    run_model.UPDATE: _update_runs,
    run_model.LOAD_UNFINISHED: _load_unfinished,
    sweeper.FIND_ABANDONED: _find_abandoned,
    sweeper.FIND_FORGOTTEN: _find_forgotten,
    sweeper.FIND_ORPHANS: _find_orphans,
    strays.FIND: _find_own,
    sweeper.DELETE_RECEIPTS: nothing,
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ": nothing,
}
