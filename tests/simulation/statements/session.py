"""What the server keeps of a connection, and what work on its behalf is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import psycopg

from domain.limits import worker_limits
from tests.simulation.database import Later, Line, Server
from tests.simulation.tables import EPOCH, RunRow, Tables

LOCK_LOOK_SECONDS = 0.05

Answer: TypeAlias = tuple[Sequence[tuple[Any, ...]], int]
"""Rows, and how many were changed."""
Work: TypeAlias = Callable[["Session", Any], Answer]
"""What a statement does, given its parameters."""

NOTHING: Answer = ((), 0)


class Session:
    """What the server keeps of a connection: an open transaction, perhaps."""

    def __init__(self, server: Server, line: Line) -> None:
        self.server = server
        self.line = line
        self._tracking: dict[str, int] | None = None
        self._moved: set[str] = set()
        """Checkpoints that the transaction has moved."""
        self._runs: dict[str, RunRow] | None = None
        self._active_at = EPOCH
        self._is_transactional = False
        self._is_aborted = False

    @property
    def tables(self) -> Tables:
        return self.server.tables

    @property
    def moment(self) -> datetime:
        return self.server.moment

    @property
    def tracking(self) -> dict[str, int]:
        return self.tables.tracking if self._tracking is None else self._tracking

    @property
    def runs(self) -> dict[str, RunRow]:
        return self.tables.runs if self._runs is None else self._runs

    def run(self, work: Work, parameters: Any) -> Answer:
        """Do a statement's work. Raises psycopg.OperationalError when the client left a transaction
        open: what it had sent is not done outside of it.
        """
        if self._is_aborted:
            raise psycopg.OperationalError("the transaction was aborted")
        return work(self, parameters)

    def begin(self) -> None:
        self._is_aborted = False
        self._refresh()
        if not self._is_transactional:
            self._is_transactional = True
            self.line.ended.append(self._abort)

    def commit(self) -> None:
        if self._is_aborted:
            raise psycopg.OperationalError("the transaction was aborted")
        if self.tables.locked_by is self and self._tracking is not None:
            assert self._runs is not None
            self.tables.tracking |= {name: self._tracking[name] for name in self._moved}
            self.tables.runs = self._runs
        self._leave()

    def roll_back(self) -> None:
        """What is under way to the server is not done any more either."""
        self._is_aborted = True
        self._leave()

    def _leave(self) -> None:
        self._tracking = self._runs = None
        if self.tables.locked_by is self:
            self.tables.locked_by = None

    def lock(self) -> None:
        """Have the checkpoints' rows for this transaction. Raises Later while another has them."""
        self._active_at = self.moment
        holder = self.tables.locked_by
        if holder is self or self._tracking is None:
            return
        if isinstance(holder, Session):
            idle = self.moment - holder._active_at
            if idle <= timedelta(seconds=worker_limits.LEADER_LEASE_SECONDS):
                raise Later(LOCK_LOOK_SECONDS)
            # The bound of a transaction that is left alone.
            holder.line.break_off()
        self.tables.locked_by = self
        self._refresh()

    def _abort(self) -> None:
        if self._tracking is not None:
            self.roll_back()

    def move(self, name: str, position: int) -> None:
        """Set a checkpoint."""
        self.tracking[name] = position
        self._moved.add(name)

    def _refresh(self) -> None:
        self._tracking, self._runs = dict(self.tables.tracking), dict(self.tables.runs)
        self._moved.clear()


def nothing(_: Session, __: Any) -> Answer:
    """The work of a statement that changes nothing here."""
    return NOTHING
