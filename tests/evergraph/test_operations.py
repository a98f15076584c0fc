"""What docs/operations.md tells an operator is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from domain.limits import database_limits
from runtime import database
from runtime.database import Row
from runtime.embedded.postgres import DEFAULTS
from tests.support.cluster import SINGLE, Cluster
from tests.test_tidy import PACKAGES, ROOT

GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
RESERVED = 3
"""Connections that PostgreSQL keeps for its superusers."""


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first head is this one."""
    lines = GUIDE.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def names(cell: str) -> list[str]:
    return re.findall(r"`(evergraph [^`]+)`", cell)


CONNECTIONS = {process: rest for process, *rest in table("process")}


def test_connections_add_up() -> None:
    most = {}
    for process, (single, pool, total) in CONNECTIONS.items():
        size = database_limits.DATABASE_POOL_CONNECTIONS_MAX if names(pool) else 0
        assert pool == (f"`evergraph {process}`, 1 to {size}" if size else "none")
        most[process] = len(names(single)) + size
        assert int(total) == most[process]
    assert f"One of each takes at most {sum(most.values())};" in GUIDE
    assert f"The embedded server has {DEFAULTS['max_connections']}." in GUIDE
    assert sum(most.values()) + RESERVED < int(DEFAULTS["max_connections"])


async def test_an_installation_has_these_connections_and_no_others(tmp_path: Path) -> None:
    whole = Cluster(tmp_path, {})
    assert SINGLE - {"up", "postgres", "nats"} | {"executor"} == CONNECTIONS.keys()
    told = {name for single, pool, _ in CONNECTIONS.values() for name in names(single + pool)}
    async with whole.running(), await whole.connect() as connection:
        seen: set[str] = set()
        while not seen >= told:
            seen |= set(await sessions(connection))
        assert seen == told
        present = await sessions(connection)
    dedicated = {name for single, *_ in CONNECTIONS.values() for name in names(single)}
    assert all(present[name] == 1 for name in dedicated & present.keys())


async def sessions(connection: AsyncConnection[Row]) -> dict[str, int]:
    found = await connection.execute(
        "SELECT application_name, count(*) FROM pg_stat_activity"
        " WHERE application_name LIKE 'evergraph %' GROUP BY application_name"
    )
    return dict(await found.fetchall())


def test_sessions_ask_for_what_is_told() -> None:
    given = conninfo_to_dict(database.conninfo("postgresql://db/app", "test"))
    options = dict(re.findall(r"-c (\w+)=(\S+)", str(given["options"])))
    told = {parameter.strip("`"): value.strip("`") for parameter, value, _ in table("parameter")}
    ours = {name: str(value) for name, value in (given | options).items()}
    ignored = {"host", "dbname", "application_name", "options", "plan_cache_mode"}
    assert told == {name: value for name, value in ours.items() if name not in ignored}


def test_events_to_watch_for_are_logged_somewhere() -> None:
    section = GUIDE.partition("Logs are JSON lines")[2].partition("\n\n")[0]
    events = re.findall(r"`([a-z_]+\.[a-z_]+)`", section)
    source = "".join(texts())
    assert len(events) > len(CONNECTIONS)
    assert [event for event in events if f'"{event}"' not in source] == []


def texts() -> Iterator[str]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            yield path.read_text(encoding="utf-8")


@pytest.mark.parametrize("query", QUERIES)
async def test_queries_work(superuser: AsyncConnection[Row], query: str) -> None:
    await superuser.execute(query.encode())
