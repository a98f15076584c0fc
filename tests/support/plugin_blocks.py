"""Blocks that do what a catalogue never should: die, hang on, fail, and leave traces in files.

Processes find them as a plug-in: see `tests/support/plugin.py`.
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any, ClassVar

from blocks.contract import (
    AsyncYields,
    Block,
    BlockContext,
    BlockFailure,
    BlockUnavailable,
    Category,
    Pins,
    Yields,
    pin,
)
from domain.contracts import BlockCost, Effect

CHUNK_BYTES = 16 * 1024 * 1024


class Passed(Pins):
    """What goes in."""

    value: Annotated[Any, pin("Anything")] = None


class Out(Pins):
    output: Annotated[Any, pin("What comes out")]


class KillsItsProcess(Block):
    id = "e09df02b-7e1a-4c22-b972-959308f7e833"
    description = "End the process in the middle of an effect"
    categories = (Category.BASIC,)
    effect = Effect.EFFECTFUL
    Input = Passed
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def run(self, _inputs: Passed, _context: BlockContext) -> Yields:
        os._exit(1)


class KillsWhilePure(Block):
    id = "50227ad6-d03d-4141-b741-5f9650033479"
    description = "End the process where nothing could go wrong"
    categories = (Category.BASIC,)
    Input = Passed
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def run(self, _inputs: Passed, _context: BlockContext) -> Yields:
        os._exit(1)


class EatsMemory(Block):
    """Only to be run in a process whose memory is limited."""

    id = "78038941-ff67-454a-8908-32640e0b35fe"
    description = "Take all the memory that there is"
    categories = (Category.BASIC,)
    Input = Passed
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def run(self, _inputs: Passed, _context: BlockContext) -> Yields:
        hoard = []
        while True:
            hoard.append(b"x" * CHUNK_BYTES)


class Nowhere(tzinfo):
    """Where there is never enough memory to write a time down."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise MemoryError

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        raise MemoryError


class RunsOutOfMemory(Block):
    """What it yields is found to take more memory than there is when its code has ended."""

    id = "3c0f5a4e-8f8b-4b57-9d0f-0f4f4cf1c9b1"
    description = "Yield what cannot be written down"
    categories = (Category.BASIC,)
    Input = Passed
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def run(self, _inputs: Passed, _context: BlockContext) -> Yields:
        yield "output", datetime(2026, 1, 1, tzinfo=Nowhere())


class YieldsThenFails(Block):
    id = "a06f2816-30b9-469a-93c9-cb7a68f7fa2f"
    description = "Send a value on, then fail"
    categories = (Category.BASIC,)

    class Input(Pins):
        value: Annotated[Any, pin("The value")] = "a"
        error: Annotated[str, pin("The reason")] = "broken on purpose"

    Output = Out
    test_input: ClassVar = {}
    test_output = (("output", "a"),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield "output", inputs.value
        raise BlockFailure(inputs.error)


class QuotesItsInput(Block):
    id = "5f0c1c58-0f4a-4a8e-9d53-2b3a3d4a8f0e"
    description = "Fail as nobody expects, with the input in the error"
    categories = (Category.BASIC,)
    Input = Passed
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def run(self, inputs: Passed, _context: BlockContext) -> Yields:
        raise RuntimeError(inputs.value)


class CallsTool(Block):
    id = "cda3cbce-7542-4428-a98f-8a83c510fd04"
    description = "Send a value to one pin of one of the linked nodes"
    categories = (Category.BASIC,)

    class Input(Pins):
        node: Annotated[str, pin("The id of the node")]
        field: Annotated[str, pin("Its pin")]
        value: Annotated[Any, pin("The value")] = None

    class Output(Pins):
        tools: Annotated[Any, pin("The nodes that can be called")]

    test_input: ClassVar = {"node": "n", "field": "f", "value": 1}
    test_output = (("tools_^_n_~_f", 1),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield f"tools_^_{inputs.node}_~_{inputs.field}", inputs.value


class NeedsCredentials(Block):
    id = "1c5afd06-34bc-46a9-887e-116185594553"
    description = "Do what only somebody with a secret may"
    categories = (Category.BASIC,)
    credentials = ("credentials",)
    costs = (BlockCost(cost_amount=1),)

    class Input(Pins):
        credentials: Annotated[dict[str, Any], pin("Who asks")]
        value: Annotated[Any, pin("Anything")] = None

    Output = Out
    test_input: ClassVar = {"credentials": {"id": "c"}, "value": 1}
    test_output = (("output", 1),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield "output", inputs.value


class Flaky(Block):
    """Its attempts are the bytes of a file."""

    id = "4e3d4b94-c409-4310-8558-af5fb7507e19"
    description = "Be unavailable for some attempts"
    categories = (Category.BASIC,)
    effect = Effect.EFFECTFUL

    class Input(Pins):
        path: Annotated[str, pin("The file in which attempts are counted")]
        succeeds_at: Annotated[int, pin("The first attempt that succeeds")] = 1

    Output = Out
    test_input: ClassVar = {"path": os.devnull, "succeeds_at": 0}
    test_output = (("output", 0),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        path = Path(inputs.path)
        with path.open("a") as counted:
            counted.write(".")
        attempts = path.stat().st_size
        if attempts < inputs.succeeds_at:
            raise BlockUnavailable(f"attempt {attempts} of {inputs.succeeds_at}")
        yield "output", attempts


class Slow(Block):
    id = "beb8f64b-9eee-43ee-aacd-69601f241143"
    description = "Take a while over a value"
    categories = (Category.BASIC,)

    class Input(Pins):
        seconds: Annotated[float, pin("How long")]
        value: Annotated[Any, pin("The value")] = None

    Output = Out
    test_input: ClassVar = {"seconds": 0, "value": 1}
    test_output = (("output", 1),)

    async def run(self, inputs: Input, _context: BlockContext) -> AsyncYields:
        await asyncio.sleep(inputs.seconds)
        yield "output", inputs.value


class NotesItsKey(Block):
    """An effect that can be counted: each attempt is a line with the key of its execution."""

    id = "699d0e51-c8f9-444a-a228-77480f98b21a"
    description = "Write the key of the execution into a file"
    categories = (Category.BASIC,)
    effect = Effect.EFFECTFUL

    class Input(Pins):
        path: Annotated[str, pin("The file")]
        value: Annotated[Any, pin("A value to hand on")] = None

    Output = Out
    test_input: ClassVar = {"path": os.devnull, "value": 1}
    test_output = (("output", 1),)

    def run(self, inputs: Input, context: BlockContext) -> Yields:
        with Path(inputs.path).open("a") as notes:
            notes.write(f"{context.idempotency_key}\n")
        yield "output", inputs.value


class NotesItsKeyWithConsent(NotesItsKey):
    id = "96a76e47-a97c-4eb5-8db5-c39e79e568d0"
    description = "Write the key of the execution into a file, which a person has to allow"
    is_sensitive_action = True
