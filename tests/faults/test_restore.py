"""A backup is put back under a running installation: what it lacks has never happened."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tests.faults.graphs import EFFECT, PURE
from tests.faults.scene import Scene, scene
from tests.support import log as logs
from tests.support.cluster import SECONDS_MAX
from tests.support.processes import is_alive, until

FOLDER = "postgres"
HELD = 4
RESTORE = "restore_command = '/bin/false'\n"
"""Nothing beyond what the copy itself brings; with the signal file it begins another timeline."""
ENDED = "log.replaced"


async def test_what_a_restored_backup_lacks_has_never_happened(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        kept = await one.start([PURE, EFFECT, PURE], runs=2)
        await one.ended(kept)
        data, backup = one.cluster.settings.data_dir / FOLDER, tmp_path / "backup"
        async with stopped_database(one):
            copy(data, backup)
        with one.effects.held():
            lost = await one.start([EFFECT, EFFECT], runs=HELD)
            await one.effects.asked(HELD)
            before = one.cluster.pids()
            async with stopped_database(one):
                shutil.rmtree(data)
                copy(backup, data)
                restore(data)
            for name in ("api", "executor-1", "projector", "relay", "sweeper"):
                await one.cluster.replaced(name, before[name])
                assert ENDED in one.cluster.log_of(name), name
        later = await one.start([PURE, EFFECT, PURE], runs=2)
        await one.ended(later)
        assert await one.count(lost) == 0
        assert sum(one.effects.seen.values()) == len([*kept.runs, *later.runs]) + HELD
        for run_id in lost.runs:
            shown = await one.caller.status("GET", f"/graphs/{lost.graph_id}/executions/{run_id}")
            assert shown == httpx2.codes.NOT_FOUND
        async with await one.cluster.connect() as connection:
            await logs.check(connection)


@asynccontextmanager
async def stopped_database(one: Scene) -> AsyncIterator[None]:
    """The database is not there, and nobody starts it again, for the length of the block."""
    supervisor = await one.cluster.send("up", signal.SIGSTOP)
    dead = await one.cluster.send("postgres", signal.SIGQUIT)
    await until(lambda: not is_alive(dead), seconds=SECONDS_MAX)
    yield
    await one.cluster.send("up", signal.SIGCONT)
    assert supervisor == one.cluster.pids()["up"]
    await one.cluster.replaced("postgres", dead)
    await one.cluster.recovered()


def copy(source: Path, target: Path) -> None:
    """Owners included: a server does not start with files that are another's."""
    subprocess.run(["cp", "-a", source, target], check=True)


def restore(data: Path) -> None:
    copy(data / "PG_VERSION", data / "recovery.signal")
    with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
        settings.write(RESTORE)
