"""What is too large for an event, stored once by its content. Events name the hash."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.large_values import hash_of
from domain.limits import value_limits
from runtime import sql
from runtime.database import Row
from runtime.eventlog import arrays

INSERT_VALUES = sql.load(__file__, "insert_values")
SELECT_VALUES = sql.load(__file__, "select_values")
SELECT_PIECE = sql.load(__file__, "select_value_piece")
SELECT_SIZES = sql.load(__file__, "select_value_sizes")


class ValueMissing(Exception):
    """The log names a value that is not there: its database was restored in part."""


class ValueDamaged(Exception):
    """A value is no longer what its hash says."""


class ValueStore:
    """Large values of each owner, by the SHA-256 of their bytes."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]]) -> None:
        self._pool = pool

    async def put(self, owner: str, values: Sequence[bytes]) -> list[str]:
        """Store the values and return their hashes, in hexadecimal, once all are durable.

        What is there already is not stored again, so that repeating it is harmless. Raises
        psycopg.Error; some of the values may be stored then.
        """
        hashes = [hash_of(value) for value in values]
        # In one order everywhere, so that no two of us wait for each other.
        distinct = sorted(dict(zip(hashes, values, strict=True)).items())
        for batch in _batches(distinct):
            parameters = (
                owner,
                arrays.text_array([name for name, _ in batch]),
                arrays.bytes_array([value for _, value in batch]),
            )
            async with self._pool.connection() as connection:
                await connection.execute(INSERT_VALUES, parameters, binary=True)
        return hashes

    async def get(self, owner: str, hashes: Collection[str]) -> dict[str, bytes]:
        """The owner's values by their hashes.

        Raises ValueMissing, ValueDamaged and psycopg.Error.
        """
        if not hashes:
            return {}
        parameters = (arrays.text_array(hashes), owner)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SELECT_VALUES, parameters, binary=True)
            found: dict[str, bytes] = dict(await cursor.fetchall())
        _require(owner, hashes, found)
        for name, value in found.items():
            if hash_of(value) != name:
                raise ValueDamaged(f"the value {name} of {owner} is damaged")
        return found

    async def sizes(self, owner: str, hashes: Collection[str]) -> dict[str, int]:
        """How many bytes of JSON the owner's values have, without reading them.

        Raises ValueMissing and psycopg.Error.
        """
        if not hashes:
            return {}
        parameters = (arrays.text_array(hashes), owner)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SELECT_SIZES, parameters, binary=True)
            found: dict[str, int] = dict(await cursor.fetchall())
        _require(owner, hashes, found)
        return found

    async def pieces(self, owner: str, key: str, size: int) -> AsyncIterator[bytes]:
        """One value that has `size` bytes, piece by piece: whoever reads it slowly holds only one.

        Raises ValueMissing, ValueDamaged before the last piece, and psycopg.Error.
        """
        digest = hashlib.sha256()
        length = value_limits.VALUE_PIECE_BYTES
        for start in range(0, size, length):
            async with self._pool.connection() as connection:
                cursor = await connection.execute(SELECT_PIECE, (start + 1, length, owner, key))
                row = await cursor.fetchone()
            _require(owner, [key], [] if row is None else [key])
            assert row is not None
            digest.update(row[0])
            if start + length >= size and digest.hexdigest() != key:
                raise ValueDamaged(f"the value {key} of {owner} is damaged")
            yield row[0]


def _require(owner: str, hashes: Collection[str], found: Collection[str]) -> None:
    for name in hashes:
        if name not in found:
            raise ValueMissing(f"{owner} has no value {name}")


def _batches(values: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """As much at a time as one statement should carry."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for name, value in values:
        batch.append((name, value))
        size += len(value)
        if size >= value_limits.VALUE_STATEMENT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
