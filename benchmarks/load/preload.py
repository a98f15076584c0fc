"""An installation with a past: many runs that ended long ago, in its log and in its read models."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from psycopg import AsyncConnection

from benchmarks.load.graphs import pure_chain
from domain.runs import NodeCompleted, RunClaimed, RunCompleted, RunCreated, RunStats
from migrations.runner import migrate
from projections.catalogue import PROJECTIONS
from projections.runner import Runner
from runtime import database, ids
from runtime.database import Row
from runtime.embedded.postgres import PostgresServer
from runtime.eventlog.mapper import to_encoded
from workers import relay

USERS = 100
NODES = [node["id"] for node in pure_chain(10)["nodes"]]
SOMEBODY = "somebody"
"""Stands for the user in the events of one run, which are those of all runs."""
RUNS_AT_ONCE = 20_000

EVENTS = [
    RunCreated(SOMEBODY, str(ids.new_id()), 1, {"city": "Lyon"}, steps_max=1_000),
    RunClaimed("executor-1"),
    *(
        NodeCompleted(execution=number, node=node, outputs=[("result", number)], elapsed_us=18)
        for number, node in enumerate(NODES)
    ),
    RunCompleted(RunStats(steps=len(NODES), nodes_us=180, wall_us=2_345)),
]

WRITE = """
WITH runs AS MATERIALIZED (
    SELECT n, 'run-' || uuidv7() AS stream,
        (%(users)s::text[])[1 + n %% cardinality(%(users)s::text[])] AS owner
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
)
INSERT INTO log.stored_events (
    originator_id, originator_version, topic, state, notification_id,
    owner, actor, causation, correlation, recorded_at)
SELECT stream, version, topic,
    CASE version
        WHEN 1 THEN convert_to(replace(convert_from(state, 'UTF8'), %(somebody)s, owner), 'UTF8')
        ELSE state
    END,
    n * cardinality(%(topics)s::text[]) + version, owner,
    CASE version WHEN 1 THEN owner ELSE 'worker:executor-1' END,
    uuidv7(), NULL, now() - make_interval(secs => %(runs)s - n)
FROM runs, unnest(%(topics)s::text[], %(states)s::bytea[])
    WITH ORDINALITY AS event(topic, state, version)
ORDER BY n, version
"""

TELL = "INSERT INTO log.notification_tracking (application_name, notification_id) VALUES (%s, %s)"


async def live(folder: Path, events: int) -> str:
    """Make of an empty folder an installation that went through that many events, all finished.

    Says in one line how long that took, and how much of the disk.
    """
    began = perf_counter()
    async with (
        PostgresServer(folder) as postgres,
        await AsyncConnection.connect(postgres.superuser_url, autocommit=True) as connection,
    ):
        await migrate(postgres.migration_url)
        await _write(connection, events // len(EVENTS))
        written = perf_counter()
        await connection.execute("VACUUM (FREEZE, ANALYZE) log.stored_events")
        position = await _build_read_models(postgres.url)
        await connection.execute(TELL, (relay.CHECKPOINT, position))
        await connection.execute("VACUUM (ANALYZE)")
        cursor = await connection.execute("SELECT pg_database_size(current_database())")
        row = await cursor.fetchone()
        assert row is not None
    return (
        f"A past of {position:,} events: written in {written - began:,.0f} s,"
        f" read models and all in {perf_counter() - began:,.0f} s, {row[0] / 1e9:.1f} GB"
    )


async def _write(connection: AsyncConnection[Row], runs: int) -> None:
    encoded = [to_encoded(event) for event in EVENTS]
    values = {
        "users": [str(ids.new_id()) for _ in range(USERS)],
        "somebody": SOMEBODY,
        "topics": [event.topic for event in encoded],
        "states": [event.state for event in encoded],
        "runs": runs,
    }
    for first in range(0, runs, RUNS_AT_ONCE):
        last = min(first + RUNS_AT_ONCE, runs) - 1
        await connection.execute(WRITE, {**values, "first": first, "last": last})


async def _build_read_models(url: str) -> int:
    """The position that they have seen, which is the log's last."""
    async with await database.connect(url, "benchmark") as connection:
        runner = Runner(connection, PROJECTIONS)
        await runner.open()
        while await runner.step():
            pass
        return runner.position
