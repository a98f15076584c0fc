"""What one user feels while another one does harm, with an attack after the other.

The victim runs an agent of one node and reads the run until it has ended. Alone first; then beside
each attack, which is a process of its own and under way when the victim begins. Everything shares
this machine, the attacker too. Ends with 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import msgspec
import uvloop

from benchmarks import server
from benchmarks.load import resolver
from benchmarks.load.installation import Installation, installation
from benchmarks.measure import Aim
from benchmarks.neighbours.attacks import ATTACKS
from benchmarks.neighbours.nuisance import nothing_else
from benchmarks.neighbours.outside import outside
from benchmarks.neighbours.victim import Felt, Victim
from evergraph import tokens

ALONE = "alone"
LOOPBACK = "127.0.0.0/8"
"""Where the servers outside are; blocks may call them here."""
RUN_SECONDS_MAX, READ_SECONDS_MAX, MEMORY_BYTES_MAX = 1.0, 0.2, 600_000_000
FAREWELL_SECONDS_MAX = 10.0
HEADINGS = ("longest run", "median run", "longest read", "longest health", "memory", "aims")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks neighbours", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each attack lasts")
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="only this one")
    arguments = parser.parse_args(argv)
    names = (ALONE, *(arguments.attack or ATTACKS))
    width = max(map(len, names))
    missed = [name for name in names if not _reaches(name, width, arguments.seconds)]
    return 1 if missed else 0


def _reaches(name: str, width: int, seconds: float) -> bool:
    """Show what is felt beside this attack, and whether all aims are reached."""
    # Each in an installation of its own: what one has left behind is not the next one's doing.
    with tempfile.TemporaryDirectory(prefix="evergraph-benchmark-") as folder:
        Path(folder).chmod(0o711)
        try:
            felt, done = uvloop.run(measure(Path(folder), name, seconds))
        except (RuntimeError, TimeoutError, ExceptionGroup) as error:
            print(f"{name:<{width}} {error!r}")
            return False
    if name == ALONE:
        _show(width, "", HEADINGS)
    reached = aims(felt)
    _show(width, name, _cells(felt, reached))
    if done:
        print("  " + ", ".join(f"{what} {count:,}" for what, count in sorted(done.items())))
    return all(aim.is_reached for aim in reached.values())


async def measure(folder: Path, name: str, seconds: float) -> tuple[Felt, Mapping[str, int]]:
    """What the victim felt beside this attack, and what the attack had done by then."""
    async with outside() as world:
        environ = {
            "EVERGRAPH_EGRESS_ALLOW": LOOPBACK,
            resolver.PORT: str(world.dns_port),
        }
        async with installation(folder, **environ) as site:
            if name == ALONE:
                print(await server.circumstances(site.database_url))
                return await Victim(site, site.token, nothing_else()).live(seconds), {}
            victim = Victim(site, site.token, ATTACKS[name].agent(world.service))
            async with _attack(site, name) as done:
                return await victim.live(seconds), done


def aims(felt: Felt) -> dict[str, Aim]:
    memory = max(felt.memory_bytes.values())
    return {
        "longest run": Aim(max(felt.runs), RUN_SECONDS_MAX, at_most=True),
        "longest read": Aim(max(felt.reads), READ_SECONDS_MAX, at_most=True),
        "longest health": Aim(max(felt.health), READ_SECONDS_MAX, at_most=True),
        "memory": Aim(memory / 1e6, MEMORY_BYTES_MAX / 1e6, at_most=True),
    }


@asynccontextmanager
async def _attack(site: Installation, name: str) -> AsyncIterator[dict[str, int]]:
    """Somebody does this inside the block; after it, the dictionary says what they did.

    Raises RuntimeError when the attack does not come to its place, or ends before its time.
    """
    token = tokens.token_for(site.settings, "nuisance@example.com")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.neighbours.attacker", name, str(site.port), token),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    done: dict[str, int] = {}
    try:
        in_place = await _tally(process)
        if ATTACKS[name].lacking(in_place):
            raise RuntimeError(f"{name} lacks {ATTACKS[name].lacking(in_place)} of {in_place}")
        yield done
        if process.returncode is not None:
            raise RuntimeError(f"{name} ended before its time with {process.returncode}")
        process.stdin.close()
        async with asyncio.timeout(FAREWELL_SECONDS_MAX):
            done |= await _tally(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _tally(process: asyncio.subprocess.Process) -> dict[str, int]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"the attack ended with {await process.wait()}")
    return msgspec.json.decode(line, type=dict[str, int])


def _cells(felt: Felt, reached: Mapping[str, Aim]) -> Sequence[str]:
    largest = max(felt.memory_bytes, key=felt.memory_bytes.__getitem__)
    missed = [name for name, aim in reached.items() if not aim.is_reached]
    return (
        _milliseconds(max(felt.runs)),
        _milliseconds(median(felt.runs)),
        _milliseconds(max(felt.reads)),
        _milliseconds(max(felt.health)),
        f"{felt.memory_bytes[largest] / 1e6:,.0f} MB ({largest})",
        f"missed: {', '.join(missed)}" if missed else "reached",
    )


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.0f} ms"


def _show(width: int, name: str, cells: Sequence[str]) -> None:
    times = "".join(f"{cell:>16}" for cell in cells[:4])
    print(f"{name:<{width}}{times}{cells[4]:>24}  {cells[5]}", flush=True)
