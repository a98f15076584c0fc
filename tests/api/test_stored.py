"""What the log holds and this program cannot read is nobody's fault who asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from psycopg import AsyncConnection

from blocks.waiting import Wait
from domain.runs import stream_of
from runtime.embedded.postgres import PostgresServer
from runtime.eventlog.log import Origin, StreamWrite
from runtime.eventlog.mapper import Encoded
from tests.support.api import Platform, answered, platform
from tests.support.databases import in_database
from tests.support.graphs import graph, node


@pytest.fixture
async def alone(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Platform]:
    """An installation whose log may be spoilt. Nothing works there but the API."""
    async with platform(postgres, tmp_path, workers=False) as served:
        yield served


async def test_an_answer_that_was_kept_and_cannot_be_read_is_not_the_clients_fault(
    alone: Platform, postgres: PostgresServer
) -> None:
    user = await alone.user()
    saved = await user.save(graph(node("a", Wait, seconds=1)))
    answered(await user.post(saved.execute_path, {}, Idempotency_Key="key"))
    assert alone.settings.database_url is not None
    name = urlsplit(alone.settings.database_url).path[1:]
    url = in_database(postgres.superuser_url, name)
    async with await AsyncConnection.connect(url) as superuser:
        await superuser.execute("UPDATE log.receipts SET answer = 'nonsense'")
    again = await user.post(saved.execute_path, {}, Idempotency_Key="key")
    assert answered(again, 500)["type"] == "internal_error"


@pytest.mark.parametrize(
    ("stored", "status", "slug"),
    [
        (Encoded("runs.NodeFrozen@1", b"{}"), 503, "unavailable"),
        (Encoded("runs.RunClaimed@7", b'{"worker":"w"}'), 503, "unavailable"),
        (Encoded("runs.RunClaimed@1", b'{"worker":7}'), 500, "internal_error"),
        (Encoded("runs.RunClaimed@1", b"nonsense"), 500, "internal_error"),
        (Encoded("runs.RunClaimed@1", b'{"worker":"\xff"}'), 500, "internal_error"),
    ],
)
async def test_a_run_that_cannot_be_read_is_not_the_clients_fault(
    alone: Platform, stored: Encoded, status: int, slug: str
) -> None:
    user = await alone.user()
    saved = await user.save(graph(node("a", Wait, seconds=1)))
    run_id = await user.start(saved)
    origin = Origin(owner=str(user.user_id), actor="test")
    await alone.log.append([StreamWrite(stream_of(run_id), 1, [stored])], origin)
    answer = await user.get(saved.run_path(run_id))
    assert (answer.status_code, answer.json()["type"]) == (status, slug), answer.text
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
