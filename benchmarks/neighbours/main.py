"""What one user feels while another one does harm, with an attack after the other.

The victim runs an agent of one node and reads the run until it has ended. Alone first; then beside
each attack, which is a process of its own. Everything shares this machine, the attacker too.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import server
from benchmarks.load.installation import Installation, installation
from benchmarks.measure import Aim, print_aims
from benchmarks.neighbours.attacks import ATTACKS
from benchmarks.neighbours.victim import Felt, Victim
from evergraph import tokens

ALONE = "alone"
LOOPBACK = "127.0.0.0/8"
"""Where the attacker's own server is; blocks may call it here."""
HEAD_START_SECONDS = 2.0
RUN_SECONDS_MAX, READ_SECONDS_MAX, MEMORY_BYTES_MAX = 1.0, 0.2, 600_000_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks neighbours", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each attack lasts")
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="only this one")
    arguments = parser.parse_args(argv)
    names = arguments.attack or list(ATTACKS)
    felt: dict[str, Felt] = {}
    for name in (ALONE, *names):
        # Each in an installation of its own: what one has left behind is not the next one's doing.
        with tempfile.TemporaryDirectory(prefix="evergraph-benchmark-") as folder:
            Path(folder).chmod(0o711)
            felt[name] = uvloop.run(_measure(Path(folder), name, arguments.seconds))
        _show(name, felt[name])
    print_aims(_aims(felt))
    return 0


async def _measure(folder: Path, name: str, seconds: float) -> Felt:
    async with installation(folder, EVERGRAPH_EGRESS_ALLOW=LOOPBACK) as site:
        if name == ALONE:
            print(await server.circumstances(site.database_url))
        victim = Victim(site, site.token)
        await victim.move_in()
        if name == ALONE:
            return await victim.live(seconds)
        async with attack(site, name):
            await asyncio.sleep(HEAD_START_SECONDS)
            return await victim.live(seconds)


@asynccontextmanager
async def attack(site: Installation, name: str) -> AsyncIterator[None]:
    """Somebody does this inside the block. Raises RuntimeError when that has not begun."""
    token = tokens.token_for(site.settings, "nuisance@example.com")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.neighbours.attacker", name, str(site.port), token),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError(f"the attack ended with {await process.wait()}")
        yield
        if process.returncode is not None:
            raise RuntimeError(f"the attack ended before its time with {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _show(name: str, felt: Felt) -> None:
    largest = max(felt.memory_bytes, key=felt.memory_bytes.__getitem__)
    print(
        f"{name}\n  {len(felt.runs)} runs: {_times(felt.runs)}; {len(felt.reads)} reads:"
        f" {_times(felt.reads)}; /health/live: {_times(felt.health)}\n"
        f"  largest process: {largest}, {felt.memory_bytes[largest] / 1e6:,.0f} MB",
        flush=True,
    )


def _times(seconds: Sequence[float]) -> str:
    return f"median {1e3 * median(seconds):.0f} ms, longest {1e3 * max(seconds):.0f} ms"


def _aims(felt: dict[str, Felt]) -> dict[str, Aim]:
    aims: dict[str, Aim] = {}
    for name, one in felt.items():
        memory = max(one.memory_bytes.values())
        aims |= {
            f"{name}: longest run, s": Aim(max(one.runs), RUN_SECONDS_MAX, at_most=True),
            f"{name}: longest read, s": Aim(max(one.reads), READ_SECONDS_MAX, at_most=True),
            f"{name}: memory, MB": Aim(memory / 1e6, MEMORY_BYTES_MAX / 1e6, at_most=True),
        }
    return aims
