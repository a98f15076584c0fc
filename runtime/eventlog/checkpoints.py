"""A cache of folded streams at many of their versions, and of what left the fold in between.

The checkpoints of a stream are one chain: each says which one it goes on from, and no two go on
from the same. So the parts of all that lead to one make up a whole, whoever wrote them. A stream
that nobody has looked at for long is forgotten with all of its checkpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from psycopg_pool import AsyncConnectionPool

from domain.limits import log_limits
from runtime import outages, sql
from runtime.database import Row
from runtime.eventlog import arrays

log = structlog.get_logger()

SELECT = sql.load(__file__, "select_checkpoint")
SELECT_PARTS = sql.load(__file__, "select_checkpoint_parts")
INSERT_STREAM = sql.load(__file__, "insert_checkpointed")
INSERT = sql.load(__file__, "insert_checkpoint")
UPDATE_STREAM = sql.load(__file__, "update_checkpointed")
DELETE_STREAM = sql.load(__file__, "delete_checkpointed")
DELETE_UNUSED = sql.load(__file__, "delete_unused_checkpoints")


class Checkpoint(msgspec.Struct, frozen=True):
    """A fold after `version`."""

    version: int
    state: bytes


class CheckpointPart(msgspec.Struct, frozen=True):
    """Something that left the fold. There is one of a kind and block for each checkpoint."""

    kind: str
    block: int
    content: bytes


class Checkpoints:
    """Those of one format: how they are encoded, and what was folded into them.

    Nothing depends on them: any stream's may be lost at any time, and while the database takes no
    changes there are no more of them. Every method raises psycopg.Error.
    """

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]]) -> None:
        self._pool = pool

    async def find(self, stream: str, form: int, at_most: int) -> Checkpoint | None:
        """The last one up to a version; of one that is damaged the stream's chain is forgotten."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SELECT, (stream, form, at_most), binary=True)
            row = await cursor.fetchone()
            if row is None:
                return None
            version, state, checksum, is_old = row
            if checksum == _checksum((stream, form, version), "", 0, state):
                if is_old:
                    with _as_far_as_possible():
                        await connection.execute(UPDATE_STREAM, (stream, form))
                return Checkpoint(version, state)
        log.warning("checkpoint.damaged", stream=stream, version=version)
        await self.forget(stream, form)
        return None

    async def save(
        self,
        stream: str,
        form: int,
        base: int,
        checkpoint: Checkpoint,
        parts: Sequence[CheckpointPart],
    ) -> bool:
        """Keep a checkpoint that goes on from that at version `base` (0: from the beginning).

        False, and nothing is kept, when another one does, when the base is no longer there, or
        when the database takes no changes.
        """
        version = checkpoint.version
        values = {
            "stream": stream,
            "format": form,
            "base": base,
            "version": version,
            "state": checkpoint.state,
            "checksum": _checksum((stream, form, version), "", 0, checkpoint.state),
            "kinds": arrays.text_array([part.kind for part in parts]),
            "blocks": arrays.Int8Array(
                len(parts), [arrays.int8_element(part.block) for part in parts]
            ),
            "contents": arrays.bytes_array([part.content for part in parts]),
            "checksums": arrays.bytes_array(
                [_checksum((stream, form, version), p.kind, p.block, p.content) for p in parts]
            ),
        }
        unused = (log_limits.CHECKPOINT_KEEP_SECONDS, log_limits.CHECKPOINT_STREAMS_DELETED)
        async with self._pool.connection() as connection:
            with _as_far_as_possible(), suppress(ForeignKeyViolation):
                if not base:
                    await connection.execute(DELETE_UNUSED, unused)
                    await connection.execute(INSERT_STREAM, (stream, form))
                cursor = await connection.execute(INSERT, values, binary=True)
                return cursor.rowcount > 0
        return False

    async def parts(
        self, stream: str, form: int, kind: str, blocks: range, upto: int
    ) -> list[bytes]:
        """What left the fold in these blocks, oldest first in each, for the chain up to a version.

        A damaged one is left out, and the stream's chain forgotten.
        """
        parameters = (stream, form, kind, blocks.start, blocks.stop - 1, upto)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SELECT_PARTS, parameters, binary=True)
            rows = await cursor.fetchall()
        sound = [
            content
            for version, block, content, checksum in rows
            if checksum == _checksum((stream, form, version), kind, block, content)
        ]
        if len(sound) < len(rows):
            log.warning("checkpoint.damaged", stream=stream, kind=kind)
            await self.forget(stream, form)
        return sound

    async def forget(self, stream: str, form: int) -> None:
        """Keep nothing of the stream in this format."""
        async with self._pool.connection() as connection:
            with _as_far_as_possible():
                await connection.execute(DELETE_STREAM, (stream, form))


@contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Who reads does not fail because a cache cannot be written."""
    try:
        yield
    except psycopg.Error as error:
        if outages.of(error) is None:
            raise
        log.warning("checkpoint.not_written", error=str(error))


def _checksum(place: tuple[str, int, int], kind: str, block: int, kept: bytes) -> bytes:
    digest = hashlib.sha256(f"{place} {kind} {block}".encode())
    digest.update(kept)
    return digest.digest()
