"""Writing one event at a time, as the library does it and as we do."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from psycopg import AsyncConnection

from benchmarks.measure import SECONDS, Figure
from domain.runs import NodeCompleted
from runtime import ids
from runtime.eventlog.log import EventLog, Origin, StreamWrite
from runtime.eventlog.mapper import to_encoded

EVENT = NodeCompleted(
    execution=3,
    node="018f3c2e-7d11-7c21-8e4f-2a9b1c3d5e02",
    outputs=[("result", "a value of about one hundred and thirty characters " + "." * 80)],
    elapsed_us=1834,
)
ENCODED = to_encoded(EVENT)
ORIGIN = Origin(owner="5d1f0c3a-9b2e-4c47-8f60-a1b2c3d4e5f6", actor="worker:executor-1")


async def prepare(url: str) -> None:
    """Make the schema of the library's own table."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE SCHEMA stock")


async def ours(log: EventLog, callers: int) -> Figure:
    """So many callers on one event loop, each on its own stream, one event an append."""
    latencies: list[float] = []
    began = time.perf_counter()

    async def call() -> None:
        stream = f"run-{ids.new_id()}"
        version = 0
        now = time.perf_counter()
        while now < began + SECONDS:
            await log.append([StreamWrite.of(stream, version, [EVENT])], ORIGIN)
            version += 1
            before, now = now, time.perf_counter()
            latencies.append(now - before)

    await asyncio.gather(*(call() for _ in range(callers)))
    return Figure.of(len(latencies), time.perf_counter() - began, latencies)


def through_recorder(recorder: ApplicationRecorder, callers: int) -> Figure:
    """So many threads that call the recorder's `insert_events`, one event a call."""
    latencies: list[float] = []
    ready = threading.Barrier(callers + 1)

    def call() -> None:
        stream = f"run-{ids.new_id()}"
        version = 0
        ready.wait()
        now = time.perf_counter()
        end = now + SECONDS
        while now < end:
            version += 1
            recorder.insert_events([StoredEvent(stream, version, ENCODED.topic, ENCODED.state)])
            before, now = now, time.perf_counter()
            latencies.append(now - before)

    with ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(call) for _ in range(callers)]
        ready.wait()
        began = time.perf_counter()
        for one in calls:
            one.result()
    return Figure.of(len(latencies), time.perf_counter() - began, latencies)


def datastore(url: str, schema: str, connections: int) -> PostgresDatastore:
    """The library's connections."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return PostgresDatastore(
        dbname=parts.path[1:],
        host=query["host"][0],
        port=query["port"][0],
        user=parts.username or "",
        password=parts.password or "",
        schema=schema,
        originator_id_type="text",
        pool_size=connections,
    )
