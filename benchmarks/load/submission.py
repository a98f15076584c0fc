"""Runs of one graph, submitted over HTTP to an installation and followed to their end."""

from __future__ import annotations

import msgspec
import psycopg

from benchmarks.load.client import Connection, request
from benchmarks.load.closed_loop import Pace, keep_in_flight
from benchmarks.load.completions import completions
from benchmarks.load.graphs import Graph
from benchmarks.load.installation import Installation
from domain import events
from domain.runs import RunCompleted, stream_of

LAST = """
SELECT topic, state FROM log.stored_events
WHERE originator_id = %s ORDER BY originator_version DESC LIMIT 1
"""


class Identified(msgspec.Struct):
    id: str


_decode = msgspec.json.Decoder(Identified).decode


async def sign_up(site: Installation) -> None:
    """Make the user whose runs these are."""
    await _post(site, "/auth/user")


async def measure(
    site: Installation, graph: Graph, *, steps: int, clients: int, seconds: float
) -> Pace:
    """How fast the runs go with so many in flight.

    The last run is looked at: it must have had so many node executions and no error.
    """
    saved = await _post(site, "/graphs", msgspec.json.encode({"graph": graph}))
    start = request("POST", f"/api/v1/graphs/{saved.id}/execute/1", site.token, b"{}")
    connections = [await Connection.open(site.port) for _ in range(clients)]
    submitted = ""
    async with completions(site.database_url, prompt=clients == 1) as ended:

        async def run(client: int) -> None:
            nonlocal submitted
            submitted = _decode(await connections[client].send(start)).id
            await ended.of(submitted)

        pace = await keep_in_flight(run, site.usage, clients=clients, seconds=seconds)
    for connection in connections:
        connection.close()
    await _check(site, submitted, steps)
    return pace


async def _check(site: Installation, run_id: str, steps: int) -> None:
    async with await psycopg.AsyncConnection.connect(site.database_url) as connection:
        cursor = await connection.execute(LAST, (stream_of(run_id),))
        row = await cursor.fetchone()
    assert row is not None
    last = events.decode(*row)
    assert isinstance(last, RunCompleted), last
    assert (last.stats.steps, last.stats.errors) == (steps, 0), last


async def _post(site: Installation, path: str, body: bytes = b"") -> Identified:
    connection = await Connection.open(site.port)
    try:
        answer = await connection.send(request("POST", f"/api/v1{path}", site.token, body))
    finally:
        connection.close()
    return msgspec.json.decode(answer, type=Identified)
