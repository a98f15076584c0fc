"""Leases of executors, the election of leaders, and wake-ups in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tests.simulation.statements.session import NOTHING, Answer, Session, Work, nothing
from tests.simulation.tables import Leader, Lease
from workers import leader, relay, sweeper, wake_ups
from workers.executor import lease


def _renew_lease(session: Session, parameters: Sequence[Any]) -> Answer:
    worker, name, seconds = parameters
    before = session.tables.leases.get(worker)
    has_lapsed = before is not None and before.expires_at < session.moment
    until = session.moment + timedelta(seconds=seconds)
    session.tables.leases[worker] = Lease(name, until)
    leases = session.tables.leases
    others = sum(leases[w].expires_at > session.moment for w in leases.keys() - {worker})
    return [(session.moment, has_lapsed, others)], 1


def _find_living(session: Session, parameters: Sequence[Any]) -> Answer:
    (workers,) = parameters
    leases = session.tables.leases
    found = [w for w in workers if w in leases and leases[w].expires_at > session.moment]
    return [(worker,) for worker in found], len(found)


def _delete_lease(session: Session, parameters: Sequence[Any]) -> Answer:
    session.tables.leases.pop(parameters[0], None)
    return NOTHING


def _list_leases(session: Session, _: Any) -> Answer:
    found = session.tables.leases.items()
    # It always takes changes.
    return [(worker, lease.expires_at > session.moment, False) for worker, lease in found], 0


def _ensure_role(session: Session, parameters: Sequence[Any]) -> Answer:
    session.tables.leaders.setdefault(parameters[0], Leader())
    return NOTHING


def _take_role(session: Session, parameters: Mapping[str, Any]) -> Answer:
    role = session.tables.leaders[parameters["role"]]
    has_lapsed = role.expires_at < session.moment
    if not has_lapsed and role.session is not None:
        return NOTHING
    before = role.holder
    role.holder, role.epoch, role.session = parameters["holder"], role.epoch + 1, session
    role.expires_at = session.moment + timedelta(seconds=parameters["seconds"])

    def unlock() -> None:
        if role.session is session:
            role.session = None

    session.line.ended.append(unlock)
    return [(role.epoch, before, has_lapsed, session.moment, True)], 1


def _renew_role(session: Session, parameters: Sequence[Any]) -> Answer:
    seconds, name, term = parameters
    role = session.tables.leaders[name]
    if role.epoch != term:
        return NOTHING
    has_lapsed = role.expires_at < session.moment
    role.expires_at = session.moment + timedelta(seconds=seconds)
    return [(session.moment, has_lapsed)], 1


def _load_relay_checkpoint(session: Session, parameters: Sequence[Any]) -> Answer:
    position = session.tracking.get(parameters[0])
    return NOTHING if position is None else ([(position,)], 1)


def _save_relay_checkpoint(session: Session, parameters: Mapping[str, Any]) -> Answer:
    if session.tables.leaders[parameters["role"]].epoch != parameters["epoch"]:
        return NOTHING
    name, position = parameters["name"], parameters["position"]
    if session.tracking.get(name, -1) >= position:
        return NOTHING
    session.tracking[name] = position
    return (), 1


def _delete_stale_wake_ups(session: Session, parameters: Sequence[Any]) -> Answer:
    oldest = session.moment - timedelta(seconds=parameters[0])
    kept = {run: at for run, at in session.tables.wake_ups.items() if at >= oldest}
    session.tables.wake_ups = kept
    return NOTHING


def _upsert_wake_ups(session: Session, parameters: Sequence[Any]) -> Answer:
    session.tables.wake_ups |= dict.fromkeys(parameters[0], session.moment)
    return NOTHING


def _take_wake_ups(session: Session, parameters: Sequence[Any]) -> Answer:
    oldest = sorted(session.tables.wake_ups, key=session.tables.wake_ups.__getitem__)
    taken = oldest[: parameters[0]]
    for run_id in taken:
        del session.tables.wake_ups[run_id]
    return [(run_id,) for run_id in taken], len(taken)


WORK: Mapping[str, Work] = {
    lease.RENEW: _renew_lease,
    lease.FIND: _find_living,
    lease.DELETE: _delete_lease,
    leader.BOUND_TRANSACTIONS: nothing,
    leader.ENSURE: _ensure_role,
    leader.TAKE: _take_role,
    leader.RENEW: _renew_role,
    relay.LOAD: _load_relay_checkpoint,
    relay.SAVE: _save_relay_checkpoint,
    wake_ups.DELETE_STALE: _delete_stale_wake_ups,
    wake_ups.UPSERT: _upsert_wake_ups,
    wake_ups.TAKE: _take_wake_ups,
    sweeper.LIST_LEASES: _list_leases,
}
