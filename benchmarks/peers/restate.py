"""Restate: a server with a store of its own, which calls a service and keeps a journal of steps.

Nothing of it is in PostgreSQL. The store, the service and the load are children of this process or
itself, so all of their CPU and memory is counted as its own. By default its server has what it
writes on disk before it says so (`rocksdb-disable-wal-fsync = false` of its log server).
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.load.client import Connection, request
from benchmarks.peers import restate_server
from benchmarks.peers.task import Chain, Fan, RunOnce, Task, serve


@asynccontextmanager
async def peer(task: Task) -> AsyncIterator[RunOnce]:
    match task.shape:
        case Chain(size):
            handler = "chain"
        case Fan(size):
            handler = "fan"
    call = request("POST", f"/peer/{handler}", body=msgspec.json.encode(size))
    with tempfile.TemporaryDirectory(prefix="evergraph-restate-") as folder:
        async with restate_server.running(Path(folder)) as port:
            connections = [await Connection.open(port) for _ in range(task.clients)]

            async def run_once(client: int) -> int:
                return msgspec.json.decode(await connections[client].send(call), type=int)

            yield run_once
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    serve(peer)
