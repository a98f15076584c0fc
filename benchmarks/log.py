"""The event log, side by side with the server's own limit and with the library's recorder.

Everything runs on one PostgreSQL of its own with fsync on, in one process and on one machine, so
only the ratios mean something elsewhere. The rounds of all contenders alternate: whatever else
the machine does meets them all.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import uvloop
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from benchmarks import appends, pgbench, reads, server
from benchmarks.measure import RUNS, Aim, Figure, median, print_aims, print_table
from migrations.runner import migrate
from runtime.embedded.postgres import PostgresServer
from runtime.eventlog.log import EventLog, opened
from runtime.eventlog.recorder import GroupCommitRecorder

Contenders = dict[str, Callable[[], Awaitable[Figure]]]
Figures = dict[str, Figure]

SINGLE_ROWS = "pgbench, 1 row a commit, 32 clients"
LIBRARY = "the library's recorder, 32 threads"
OURS = "Evergraph, 32 callers"
OURS_CROWDED = "Evergraph, 256 callers"
DECODED = "read and decoded"
REBUILT = "all read models rebuilt"


def main(argv: Sequence[str] | None = None) -> int:
    argparse.ArgumentParser(prog="benchmarks log", description=__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="evergraph-benchmark-") as folder:
        # The server runs as another user, who must be able to pass.
        Path(folder).chmod(0o711)
        uvloop.run(_measure(Path(folder)))
    return 0


async def _measure(folder: Path) -> None:
    async with PostgresServer(folder) as postgres:
        url = postgres.superuser_url
        print(await server.circumstances(url))
        await migrate(url)
        written = await _measure_writing(url)
        print_table("One event an append", written)
        read = await _measure_reading(await server.create_database(url, "reading"))
        print_table("The log from its beginning", read)
    print_aims(
        {
            f"{OURS} : {LIBRARY}": Aim(written[OURS].rate / written[LIBRARY].rate, 35),
            f"{OURS} : {SINGLE_ROWS}": Aim(written[OURS].rate / written[SINGLE_ROWS].rate, 2),
            f"{OURS_CROWDED}, events/s": Aim(written[OURS_CROWDED].rate, 90_000),
            f"{DECODED}, events/s": Aim(read[DECODED].rate, 400_000),
            f"{REBUILT}, events/s": Aim(read[REBUILT].rate, 100_000),
        }
    )


async def _measure_writing(url: str) -> Figures:
    await pgbench.prepare(url)
    await appends.prepare(url)
    with appends.datastore(url, "stock", 32) as store, appends.datastore(url, "log", 1) as readers:
        stock = await asyncio.to_thread(_stock_recorder, store)
        recorder = await asyncio.to_thread(GroupCommitRecorder, readers, database_url=url)
        try:
            async with opened(url, "benchmark") as log:
                return await _alternate(url, _writers(url, log, stock, recorder))
        finally:
            await asyncio.to_thread(recorder.close)


def _writers(
    url: str, log: EventLog, stock: PostgresApplicationRecorder, recorder: GroupCommitRecorder
) -> Contenders:
    def through_recorder(which: PostgresApplicationRecorder, threads: int) -> Awaitable[Figure]:
        return asyncio.to_thread(appends.through_recorder, which, threads)

    insert = partial(pgbench.insert, url)
    return {
        "pgbench, 1 row a commit, 1 client": partial(insert, rows=1, clients=1),
        SINGLE_ROWS: partial(insert, rows=1, clients=32),
        "pgbench, 100 rows a commit, 1 client": partial(insert, rows=100, clients=1),
        "pgbench, 100 rows a commit, 32 clients": partial(insert, rows=100, clients=32),
        "the library's recorder, 1 thread": partial(through_recorder, stock, 1),
        LIBRARY: partial(through_recorder, stock, 32),
        "Evergraph as the library's recorder, 32 threads": partial(through_recorder, recorder, 32),
        "Evergraph, 1 caller": partial(appends.ours, log, 1),
        OURS: partial(appends.ours, log, 32),
        OURS_CROWDED: partial(appends.ours, log, 256),
    }


async def _measure_reading(url: str) -> Figures:
    await migrate(url)
    async with opened(url, "benchmark") as log:
        await reads.fill(log)
    readers: Contenders = {
        DECODED: partial(reads.decode_all, url),
        REBUILT: partial(reads.rebuild, url),
    }
    return await _alternate(url, readers)


async def _alternate(url: str, contenders: Contenders) -> Figures:
    rounds: dict[str, list[Figure]] = {name: [] for name in contenders}
    for _ in range(RUNS):
        for name, contender in contenders.items():
            await server.checkpoint(url)
            rounds[name].append(await contender())
    return {name: median(figures) for name, figures in rounds.items()}


def _stock_recorder(store: PostgresDatastore) -> PostgresApplicationRecorder:
    """The library's recorder as it comes, on a table of its own making."""
    recorder = PostgresApplicationRecorder(store)
    recorder.create_table()
    return recorder
