"""`python -m benchmarks.neighbours.attacker ATTACK PORT TOKEN`: a nuisance until it is killed.

It is a process of its own, so that its work does not make the victim's times longer than they are.
"""

from __future__ import annotations

import sys

import uvloop

from benchmarks.neighbours.attacks import ATTACKS
from benchmarks.neighbours.nuisance import nuisance


async def _attack(name: str, port: int, token: str) -> None:
    async with nuisance(port, token) as user:
        print("begins", flush=True)
        await ATTACKS[name](user)


if __name__ == "__main__":
    uvloop.run(_attack(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
