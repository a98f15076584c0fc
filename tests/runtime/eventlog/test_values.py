"""Large values are stored once by what they are, and read back as exactly that."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import LiteralString

import pytest
from psycopg import AsyncConnection
from psycopg.errors import CheckViolation, InsufficientPrivilege

from domain.limits import value_limits
from runtime import database
from runtime.database import Row
from runtime.eventlog.log import EventLog
from runtime.eventlog.values import ValueDamaged, ValueMissing

COPY: LiteralString = (
    "INSERT INTO log.values (owner, hash, value) SELECT owner, hash, value FROM log.values"
)

CHANGES: tuple[LiteralString, ...] = (
    "UPDATE log.values SET value = ''",
    f"{COPY} ON CONFLICT (owner, hash) DO UPDATE SET value = ''",
    "DELETE FROM log.values",
    "TRUNCATE log.values",
)


async def stored(connection: AsyncConnection[Row]) -> list[tuple[str, bytes]]:
    cursor = await connection.execute("SELECT owner, value FROM log.values ORDER BY owner, value")
    return [(owner, value) for owner, value in await cursor.fetchall()]


async def test_values_are_found_by_their_hashes(event_log: EventLog) -> None:
    values = [b"", b"a", bytes(range(256)) * 4_096]
    hashes = await event_log.values.put("ada", values)
    assert hashes == [hashlib.sha256(value).hexdigest() for value in values]
    assert await event_log.values.get("ada", hashes) == dict(zip(hashes, values, strict=True))
    assert await event_log.values.get("ada", {hashes[1]}) == {hashes[1]: b"a"}
    assert await event_log.values.get("ada", []) == {}
    assert await event_log.values.put("ada", []) == []


async def test_a_value_is_stored_once_an_owner(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    first = await event_log.values.put("ada", [b"a", b"b", b"a"])
    assert first[0] == first[2]
    assert await event_log.values.put("ada", [b"b", b"c"]) == [
        first[1],
        hashlib.sha256(b"c").hexdigest(),
    ]
    await event_log.values.put("bob", [b"a"])
    assert await stored(superuser) == [
        ("ada", b"a"),
        ("ada", b"b"),
        ("ada", b"c"),
        ("bob", b"a"),
    ]


async def test_many_that_store_the_same_do_not_lock_each_other_up(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    values = [bytes([number]) * 10_000 for number in range(50)]
    await asyncio.gather(
        *(event_log.values.put("ada", chance.sample(values, len(values))) for _ in range(8))
    )
    assert await stored(superuser) == [("ada", value) for value in values]


async def test_more_than_a_statement_should_carry_goes_in_several(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_limits, "VALUE_STATEMENT_BYTES", 5)
    values = [bytes([number]) * 3 for number in range(7)]
    hashes = await event_log.values.put("ada", values)
    assert await event_log.values.get("ada", hashes) == dict(zip(hashes, values, strict=True))


async def test_what_is_not_there_is_missing(event_log: EventLog) -> None:
    there, elsewhere = await event_log.values.put("ada", [b"a", b"b"])
    nowhere = hashlib.sha256(b"c").hexdigest()
    with pytest.raises(ValueMissing, match=nowhere):
        await event_log.values.get("ada", [there, nowhere])
    with pytest.raises(ValueMissing, match=elsewhere):
        await event_log.values.get("bob", [elsewhere])


async def test_a_damaged_value_is_not_handed_out(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    sound, damaged = await event_log.values.put("ada", [b"a", b"b"])
    await superuser.execute("ALTER TABLE log.values DISABLE TRIGGER values_append_only")
    await superuser.execute("ALTER TABLE log.values DROP CONSTRAINT values_hash")
    await superuser.execute("UPDATE log.values SET value = 'B' WHERE hash = %s", (damaged,))
    assert await event_log.values.get("ada", [sound]) == {sound: b"a"}
    with pytest.raises(ValueDamaged, match=damaged):
        await event_log.values.get("ada", [sound, damaged])


async def test_a_damaged_value_is_not_read_to_its_end_in_pieces(
    event_log: EventLog, superuser: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_limits, "VALUE_PIECE_BYTES", 4)
    (damaged,) = await event_log.values.put("ada", [b"0123456789"])
    await superuser.execute("ALTER TABLE log.values DISABLE TRIGGER values_append_only")
    await superuser.execute("ALTER TABLE log.values DROP CONSTRAINT values_hash")
    await superuser.execute("UPDATE log.values SET value = '!123456789'")
    pieces = event_log.values.pieces("ada", damaged, 10)
    assert [await anext(pieces), await anext(pieces)] == [b"!123", b"4567"]
    with pytest.raises(ValueDamaged, match=damaged):
        await anext(pieces)
    with pytest.raises(ValueMissing):
        await anext(event_log.values.pieces("bob", damaged, 10))


async def test_the_database_keeps_values_as_they_are(
    event_log: EventLog, database_url: str, superuser: AsyncConnection[Row]
) -> None:
    await event_log.values.put("ada", [b"a"])
    async with await database.connect(database_url, "test") as application:
        for change in CHANGES:
            with pytest.raises(InsufficientPrivilege):
                await application.execute(change)
        with pytest.raises(InsufficientPrivilege):
            await application.execute(
                "INSERT INTO log.values SELECT 'eve', hash, value, 'epoch' FROM log.values"
            )
        with pytest.raises(CheckViolation):
            await application.execute(
                "INSERT INTO log.values (owner, hash, value) SELECT 'eve', hash, '' FROM log.values"
            )
    for role in ("origin", "replica"):
        await superuser.execute(f"SET session_replication_role = {role}")
        for change in CHANGES:
            with pytest.raises(InsufficientPrivilege, match="append-only"):
                await superuser.execute(change)
    assert await stored(superuser) == [("ada", b"a")]
