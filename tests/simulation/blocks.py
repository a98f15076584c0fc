"""Blocks that take their time although they are pure, so that a run can be caught at work, or that
end as none should.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from zlib import crc32

from blocks.catalogue import CATALOGUE, CONTRACTS
from blocks.contract import AsyncYields, Block, BlockContext, Category, Pins, pin
from domain.contracts import BlockContract

SECONDS_MAX = 3.0


class Linger(Block):
    id = "0f0d6f6e-2f0e-4a4f-8f0e-5c8a4b7c9d10"
    description = "Hand a value on after a while, with nothing in the log in between"
    categories = (Category.BASIC,)

    class Input(Pins):
        value: Annotated[Any, pin("Anything")]

    class Output(Pins):
        output: Annotated[Any, pin("The same")]

    test_input: ClassVar = {"value": 1}
    test_output = (("output", 1),)

    async def run(self, inputs: Input, context: BlockContext) -> AsyncYields:
        draw = crc32(context.idempotency_key.encode()) / 2**32
        await asyncio.sleep(SECONDS_MAX * draw**2)
        yield "output", inputs.value


class EndsCancelled(Block):
    id = "0f0d6f6e-2f0e-4a4f-8f0e-5c8a4b7c9d11"
    description = "Wait for something that was cancelled, and let that out"
    categories = (Category.BASIC,)
    Input = Linger.Input
    Output = Linger.Output
    test_input: ClassVar = {"value": 1}
    test_output = ()

    async def run(self, inputs: Linger.Input, context: BlockContext) -> AsyncYields:
        inner = asyncio.ensure_future(asyncio.sleep(SECONDS_MAX))
        inner.cancel()
        await inner
        yield "output", inputs.value


OURS = (Linger(), EndsCancelled())
BLOCKS: Mapping[str, Block] = {**CATALOGUE, **{block.id: block for block in OURS}}
PROMISES: Mapping[str, BlockContract] = {
    **CONTRACTS,
    **{block.id: block.contract() for block in OURS},
}
