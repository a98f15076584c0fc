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

    async def _answer(self) -> PGresult:
        loop = asyncio.get_running_loop()
        self._answered, self._result = loop.create_future(), None
        line = self._pgconn.socket
        loop.add_reader(line, self._read)
        try:
            if self._pgconn.flush():
                loop.add_writer(line, self._write)
            result = await self._answered
        finally:
            self._answered = None
            loop.remove_reader(line)
            loop.remove_writer(line)
        if result.status not in DONE:
            raise errors.error_from_result(result)
        return result

    def _write(self) -> None:
        """The kernel takes more of a large statement."""
        assert self._answered is not None
        try:
            if not self._pgconn.flush():
                asyncio.get_running_loop().remove_writer(self._pgconn.socket)
        except errors.Error as error:
            self._fail(error)

    def _read(self) -> None:
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._succeed()
                    return
                self._result = result
        except errors.Error as error:
            self._fail(error)

    def _succeed(self) -> None:
        if self._answered is not None and not self._answered.done():
            assert self._result is not None, "a statement has a result"
            self._answered.set_result(self._result)

    def _fail(self, error: errors.Error) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
