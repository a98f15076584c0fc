"""Views in bytes: the state at which a reader may begin, and records of what had finished by then.

All of it is a cache. What was written in another FORMAT is not read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from domain.engine import snapshots
from domain.engine.execution import Execution
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.engine.snapshots import FrozenNode, FrozenRun
from domain.engine.suspicion import Loss
from domain.engine.views import Place, Segment, View
from domain.large_values import Large
from domain.runs import ReviewDecided, ReviewRequested, RunStatus

BLOCK = 64
"""Executions, and outputs, whose records are kept together."""
EXECUTIONS, OUTPUTS = "e", "o"
"""Kinds of records."""
_LARGE = 1
"""The code of a `Large` in what is encoded."""
_FASTEST = 1

Moments = tuple[datetime | None, datetime | None, datetime | None, datetime | None]
"""When an execution was added, queued, started, and when it ended."""


class Record(msgspec.Struct, array_like=True):
    """A finished execution. `given` says which of the block's values is at which pin."""

    number: int
    node: int
    status: RunStatus
    given: dict[str, int]
    attempt: int
    lost: list[Loss]
    error: str | None
    child: str | None
    until: datetime | None
    asked: ReviewRequested | None
    decided: ReviewDecided | None
    queue_number: int
    moments: Moments
    result: Place


class Block(msgspec.Struct, array_like=True):
    """Each value is there once, however many executions it was given to."""

    values: list[Any]
    records: list[Record]


class PlacedOutput(msgspec.Struct, array_like=True):
    """What an OUTPUT node's execution was given, at its place among the outputs of the run."""

    ordinal: int
    number: int
    name: str
    value: Any


class State(msgspec.Struct, array_like=True):
    """A view without records. `outputs` are those whose executions have not finished."""

    run: FrozenRun
    moments: dict[int, Moments]
    created_at: datetime | None
    outputs: list[PlacedOutput]
    outputs_count: int
    segments: list[Segment]


class Kept(msgspec.Struct):
    """All that there is of a format."""

    state: State
    executions: Block
    outputs: list[PlacedOutput]


FORMAT = snapshots.format_of(Kept)


class Part(msgspec.Struct, frozen=True):
    """Records of one kind that belong to one block."""

    kind: str
    block: int
    content: bytes


class Cut(msgspec.Struct, frozen=True):
    """What a view is made of after one event: `numbers` and `outputs` go into the parts."""

    version: int
    state: bytes
    parts: list[Part]
    numbers: list[int]
    outputs: list[int]


def cut(view: View) -> Cut:
    """Take a run that has not ended apart. The view stays as it is until `drop`."""
    run = view.run
    assert not run.is_ended, "what the end cuts off has no record"
    numbers = sorted(view.results)
    view.number_outputs()
    outputs = [number for number in run.outputs if number in view.results]
    return Cut(
        version=run.version,
        state=_packed(_state(view)),
        parts=[*_execution_parts(view, numbers), *_output_parts(view, outputs)],
        numbers=numbers,
        outputs=outputs,
    )


def drop(view: View, done: Cut) -> None:
    """The records are kept elsewhere from now on."""
    run = view.run
    held_back = {execution.number for queue in run.nodes for execution in queue.unrouted}
    for number in done.numbers:
        execution = run.executions.pop(number)
        if number in held_back:
            execution.node.shed(execution)
        del view.results[number]
    for number in done.outputs:
        del run.outputs[number]
        del view.ordinals[number]
    own = Segment(run.run_id, done.version)
    view.segments = [*(one for one in view.segments if one.run_id != run.run_id), own]


def read_state(packed: bytes) -> State:
    """Raises msgspec.DecodeError and zlib.error for what is damaged."""
    return _decode_state(zlib.decompress(packed))


def restore(run_id: str, plan: Plan, state: State) -> View:
    """The view again; large values in it are not read."""
    run = snapshots.thaw(run_id, plan, state.run)
    run.executions = dict(sorted(run.executions.items()))
    run.created_at = state.created_at
    for number, moments in state.moments.items():
        _set_moments(run.executions[number], moments)
    view = View(run, state.segments)
    for output in state.outputs:
        run.outputs[output.number] = (output.name, output.value)
        view.ordinals[output.number] = output.ordinal
    view.outputs_count = state.outputs_count
    return view


def read_executions(run: Run, content: bytes) -> Iterable[tuple[Execution, Place]]:
    """Finished executions, without data and outputs, and where the log says how each went."""
    block = _decode_block(zlib.decompress(content))
    return [(_execution(run, block, record), record.result) for record in block.records]


def read_outputs(content: bytes) -> list[PlacedOutput]:
    return _decode_outputs(zlib.decompress(content))


def _state(view: View) -> State:
    run = view.run
    frozen = snapshots.frozen(run)
    for node in frozen.nodes:
        _without_loaded(view, node)
    kept = [number for number in run.outputs if number not in view.results]
    return State(
        run=frozen,
        moments={execution.number: _moments(execution) for execution in view.unfinished},
        created_at=run.created_at,
        outputs=_placed(view, kept),
        outputs_count=view.outputs_count,
        segments=[one for one in view.segments if one.run_id != run.run_id],
    )


def _without_loaded(view: View, node: FrozenNode) -> None:
    for executions in (node.incomplete, node.unrouted):
        for execution in executions:
            execution.given = view.without_loaded(execution.given)
    if node.last_given is not None:
        node.last_given = view.without_loaded(node.last_given)


def _execution_parts(view: View, numbers: Iterable[int]) -> Iterable[Part]:
    for block, members in _blocks((number, number) for number in numbers):
        values: list[Any] = []
        places: dict[int, int] = {}
        records = [_record(view, number, values, places) for number in members]
        yield Part(EXECUTIONS, block, _packed(Block(values, records)))


def _output_parts(view: View, numbers: Iterable[int]) -> Iterable[Part]:
    for block, members in _blocks((view.ordinals[number], number) for number in numbers):
        yield Part(OUTPUTS, block, _packed(_placed(view, members)))


def _blocks(placed: Iterable[tuple[int, int]]) -> Iterable[tuple[int, list[int]]]:
    """Numbers by the block that their places belong to."""
    blocks: dict[int, list[int]] = {}
    for place, number in placed:
        blocks.setdefault(place // BLOCK, []).append(number)
    return blocks.items()


def _placed(view: View, numbers: Iterable[int]) -> list[PlacedOutput]:
    outputs = view.run.outputs
    return [PlacedOutput(view.ordinals[number], number, *outputs[number]) for number in numbers]


def _record(view: View, number: int, values: list[Any], places: dict[int, int]) -> Record:
    execution = view.run.executions[number]
    given = {}
    for pin, value in view.without_loaded(execution.given).items():
        # `values` holds what is found by identity, so that no other value can take its place.
        place = places.setdefault(id(value), len(values))
        if place == len(values):
            values.append(value)
        given[pin] = place
    return Record(
        number=number,
        node=execution.node.node.index,
        status=execution.status,
        given=given,
        attempt=execution.attempt,
        lost=execution.lost,
        error=execution.error,
        child=execution.child,
        until=execution.until,
        asked=execution.asked,
        decided=execution.decided,
        queue_number=execution.queue_number,
        moments=_moments(execution),
        result=view.results[number],
    )


def _execution(run: Run, block: Block, record: Record) -> Execution:
    execution = Execution(record.number, run.nodes[record.node], None)
    execution.status = record.status
    execution.given = {pin: block.values[place] for pin, place in record.given.items()}
    execution.attempt = record.attempt
    execution.lost = record.lost
    execution.error = record.error
    execution.child = record.child
    execution.until = record.until
    execution.asked = record.asked
    execution.decided = record.decided
    execution.queue_number = record.queue_number
    _set_moments(execution, record.moments)
    return execution


def _moments(execution: Execution) -> Moments:
    return execution.added_at, execution.queued_at, execution.started_at, execution.ended_at


def _set_moments(execution: Execution, moments: Moments) -> None:
    execution.added_at, execution.queued_at, execution.started_at, execution.ended_at = moments


def _packed(kept: Any) -> bytes:
    return zlib.compress(_encode(kept), _FASTEST)


def _to_ext(value: Any) -> msgspec.msgpack.Ext:
    assert type(value) is Large
    return msgspec.msgpack.Ext(_LARGE, value.hash.encode())


def _from_ext(_code: int, data: memoryview) -> Large:
    return Large(bytes(data).decode())


_encode = msgspec.msgpack.Encoder(enc_hook=_to_ext).encode
_decode_state = msgspec.msgpack.Decoder(State, ext_hook=_from_ext).decode
_decode_block = msgspec.msgpack.Decoder(Block, ext_hook=_from_ext).decode
_decode_outputs = msgspec.msgpack.Decoder(list[PlacedOutput], ext_hook=_from_ext).decode
