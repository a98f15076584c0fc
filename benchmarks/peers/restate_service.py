"""The graphs as handlers of a service of Restate, whose journal has each step before the next."""

from __future__ import annotations

import restate

NAME = "peer"


async def _add_one(value: int) -> int:
    return value + 1


async def _add_up(values: list[int]) -> int:
    return sum(values)


async def _chain(context: restate.Context, length: int) -> int:
    value = 0
    for _ in range(length):
        value = await context.run_typed("add one", _add_one, value=value)
    return value


async def _fan(context: restate.Context, width: int) -> int:
    value = await context.run_typed("add one", _add_one, value=0)
    aside = [context.run_typed("add one", _add_one, value=value) for _ in range(width)]
    await restate.gather(*aside)
    values = [await one for one in aside]
    total: int = await context.run_typed("add up", _add_up, values=values)
    return total


_service = restate.Service(NAME)
_service.handler(name="chain")(_chain)
_service.handler(name="fan")(_fan)
app = restate.app(services=[_service])
