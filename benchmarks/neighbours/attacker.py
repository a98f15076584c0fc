"""`python -m benchmarks.neighbours.attacker ATTACK PORT TOKEN`: a nuisance until its input ends.

It is a process of its own, so that its work does not make the victim's times longer than they are.
It writes two lines: the tally of the attack when that is in its place, and again at the end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

import msgspec
import uvloop

from benchmarks.neighbours.attacks import ATTACKS
from benchmarks.neighbours.nuisance import nuisance

PLACE_SECONDS_MAX = 30.0


async def _attack(name: str, port: int, token: str) -> None:
    attack = ATTACKS[name]
    async with nuisance(port, token) as user:
        acting = asyncio.create_task(attack.act(user))
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        try:
            async with asyncio.timeout(PLACE_SECONDS_MAX):
                while attack.lacking(user.done) and not acting.done():  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.02)
        except TimeoutError:
            # Whoever reads the tally sees what is lacking.
            pass
        _tell(user.done)
        await asyncio.wait([acting, ended], return_when=asyncio.FIRST_COMPLETED)
        if acting.done():
            await acting
        _tell(user.done)
        acting.cancel()
        await asyncio.wait([acting])


def _tell(done: Mapping[str, int]) -> None:
    print(msgspec.json.encode(done).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(_attack(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
