"""One statement, prepared once and then executed over libpq itself.

Around each call psycopg's cursor adapts parameters, looks for the prepared name, loads rows and
takes locks: for an append, whose parameters are packed already, that cost more than the rest of
what a process does for a commit. Connecting, and every statement that is rare, is left to psycopg.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from psycopg import AsyncConnection, errors
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from runtime.database import Row
from runtime.eventlog.arrays import Packed

NAME = b"evergraph"
DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Prepared:
    """A statement with numbered parameters and one value as its result, on one connection.

    The connection serves one call at a time, of this statement or of psycopg's.
    """

    def __init__(self, connection: AsyncConnection[Row], statement: str) -> None:
        self._statement = statement.encode()
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._line = self._pgconn.socket
        self._answered: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None

    async def prepare(self) -> None:
        """Raises psycopg.Error."""
        self._pgconn.send_prepare(NAME, self._statement)
        await self._answer()

    async def execute(self, parameters: Sequence[Packed]) -> bytes:
        """The value in binary form. Raises psycopg.Error."""
        self._pgconn.send_query_prepared(
            NAME,
            [parameter.data for parameter in parameters],
            [Format.BINARY] * len(parameters),
            Format.BINARY,
        )
        value = (await self._answer()).get_value(0, 0)
        assert value is not None, "the statement returns a value"
        return value

    def give_up(self) -> None:
        """Whoever waits for an answer gets OperationalError."""
        self._fail(errors.OperationalError("the server was silent for too long"))

    async def _answer(self) -> PGresult:
        self._answered, self._result = self._loop.create_future(), None
        self._line = self._pgconn.socket
        self._loop.add_reader(self._line, self._read)
        try:
            if self._pgconn.flush():
                self._loop.add_writer(self._line, self._write)
            result = await self._answered
        finally:
            self._answered = None
            self._watch_no_more()
        if result.status not in DONE:
            raise errors.error_from_result(result)
        return result

    def _write(self) -> None:
        """The kernel takes more of a large statement."""
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._line)
        except errors.Error as error:
            self._fail(error)

    def _read(self) -> None:
        try:
            if self._has_all() or self._has_all():
                self._succeed()
        except errors.Error as error:
            self._fail(error)

    def _has_all(self) -> bool:
        """Whether the answer is complete. Raises psycopg.Error.

        To be asked twice before the next event is waited for: a line that a server left with an
        error has its last one together with the server's last word (uvloop then stops to watch),
        and only the second look finds the end after that word.
        """
        self._pgconn.consume_input()
        while not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                return True
            self._result = result
        return False

    def _succeed(self) -> None:
        if self._answered is not None and not self._answered.done():
            assert self._result is not None, "a statement has a result"
            self._answered.set_result(self._result)

    def _fail(self, error: errors.Error) -> None:
        # At once: libpq may have closed the line, and the next one to be opened has its number.
        self._watch_no_more()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _watch_no_more(self) -> None:
        self._loop.remove_reader(self._line)
        self._loop.remove_writer(self._line)
