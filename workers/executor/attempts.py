"""Running one node: from a ready execution to the event that says how it went."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from blocks.catalogue import CATALOGUE
from blocks.contract import Block, BlockContext, BlockFailure
from domain import large_values, policies
from domain.contracts import ERROR_PIN, Effect
from domain.engine.execution import Execution
from domain.errors import DomainError, Invalid
from domain.json_values import check_json
from domain.limits import run_limits, value_limits
from domain.policies import FailureKind
from domain.runs import NodeCompleted, NodeFailed, NodeRetried, Output, RunStats
from runtime import clock
from runtime.eventlog.mapper import to_encoded
from workers.executor.run_writer import Result

log = structlog.get_logger()

SHALLOW_BYTES = 2 * value_limits.JSON_DEPTH_MAX
"""A shorter text cannot nest too deep."""


class TimedOut(BlockFailure):
    """The node took longer than its policy allows."""

    kind = FailureKind.TIMEOUT


class Attempt:
    """One attempt to run a node; collects what it yields."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._node = execution.node.node
        self._outputs: list[Output] = []
        self._began_us = clock.monotonic_us()

    @property
    def number(self) -> int:
        """Which attempt of the execution this is, from 1. That of an effect is recorded before."""
        recorded = self.execution.attempt
        return recorded if self._node.effect is Effect.EFFECTFUL else recorded + 1

    def run(self, context: BlockContext) -> Result | AsyncIterator[Output]:
        """Run a cheap block to its end, or hand back the iterator of one that takes time."""
        try:
            block = block_of(self.execution)
            outputs = block.run(inputs_of(block, self.execution), context)
            if isinstance(outputs, AsyncIterator):
                return outputs
            self._collect(outputs)
        except BaseException as error:  # noqa: BLE001 - whatever a block raises fails its node
            return self.missed(error, context.idempotency_key)
        return self.completed(self._outputs)

    async def finish(self, outputs: AsyncIterator[Output], context: BlockContext) -> Result:
        """Run a block that takes time to its end, within the time of its policy.

        Raises CancelledError and GeneratorExit: whether the block wanted that, or somebody who has
        no use for it any more, knows only who began it.
        """
        seconds = self._node.policy.timeout_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                async for output in outputs:
                    self._take(output)
        except TimeoutError as error:
            if not deadline.expired():
                return self.missed(error, context.idempotency_key)
            late = TimedOut(f"The node took longer than {seconds:g} seconds")
            return self.missed(late, context.idempotency_key)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001
            return self.missed(error, context.idempotency_key)
        return self.completed(self._outputs)

    def completed(self, outputs: list[Output], child: RunStats | None = None) -> Result:
        """The execution as done, or as failed when its values cannot be kept."""
        completed = NodeCompleted(
            execution=self.execution.number,
            node=self._node.node_id,
            outputs=outputs,
            elapsed_us=self._elapsed_us,
            cost=self._node.contract.cost,
            child=child,
        )
        try:
            return _checked(completed)
        except Invalid as error:
            self._outputs = []
            return self.failed(error)

    def skipped(self) -> Result:
        """The execution as done without having been run, so at no price."""
        number, node_id = self.execution.number, self._node.node_id
        return Result(to_encoded(NodeCompleted(number, node_id, outputs=[], elapsed_us=0)))

    def missed(self, error: BaseException, key: str) -> Result:
        """The attempt as a failure: to be repeated if the node's policy says so, or final."""
        self._complain(error)
        seconds = policies.retry_at(self._node.policy, self.number, kind_of(error), key)
        if seconds is None:
            return self.failed(error)
        retried = NodeRetried(
            execution=self.execution.number,
            node=self._node.node_id,
            attempt=self.number,
            error=_message(error),
            elapsed_us=self._elapsed_us,
            until=clock.now() + timedelta(seconds=seconds),
            cost=self._cost_of_failure,
        )
        return Result(to_encoded(retried), waiting=self.execution.number)

    def failed(self, error: BaseException, child: RunStats | None = None) -> Result:
        """The execution as failed; what was yielded before stays valid (4.8, N3)."""
        failed = NodeFailed(
            execution=self.execution.number,
            node=self._node.node_id,
            error=_message(error),
            elapsed_us=self._elapsed_us,
            outputs=self._outputs,
            child=child,
            cost=self._cost_of_failure,
        )
        try:
            return _checked(failed)
        except Invalid:
            plain = msgspec.structs.replace(failed, outputs=[], error=ascii(failed.error))
            return Result(to_encoded(plain))

    def _collect(self, outputs: Iterator[Output]) -> None:
        for output in outputs:
            self._take(output)

    def _take(self, output: Output) -> None:
        name, value = output
        if name == ERROR_PIN:
            raise BlockFailure(value if isinstance(value, str) else str(value))
        if len(self._outputs) >= run_limits.NODE_OUTPUTS_MAX:
            raise BlockFailure(f"a node yields at most {run_limits.NODE_OUTPUTS_MAX} values")
        problem = self._node.output_problem(name, value)
        if problem is not None:
            raise BlockFailure(f"the output {name!r} {problem}")
        self._outputs.append((name, value))

    def _complain(self, error: BaseException) -> None:
        """What it says is the user's, as it may quote an input: the node's failure has it."""
        if kind_of(error) is FailureKind.CRASH:
            frames = "".join(traceback.format_tb(error.__traceback__))
            kind, block = type(error).__name__, self._node.contract.name
            log.error("node.raised", block=block, error=kind, frames=frames)

    @property
    def _cost_of_failure(self) -> int:
        """An effect may have happened once it was started, and it kept others busy in any case."""
        is_effect = self._node.effect is Effect.EFFECTFUL
        return self._node.contract.cost if is_effect and self.execution.is_in_doubt else 0

    @property
    def _elapsed_us(self) -> int:
        return clock.monotonic_us() - self._began_us


def block_of(execution: Execution) -> Block:
    """The block that runs the execution. Raises BlockFailure when this program has it no more."""
    contract = execution.node.node.contract
    block = CATALOGUE.get(contract.block_id)
    if block is None:
        raise BlockFailure(f"the block {contract.name} is no longer available")
    return block


def inputs_of(block: Block, execution: Execution) -> Any:
    """The block's `Input`; nulls are absent. Raises msgspec.ValidationError."""
    given = {name: value for name, value in execution.data.items() if value is not None}
    return msgspec.convert(given, block.Input, strict=False)


def kind_of(error: BaseException) -> FailureKind:
    """What a policy may distinguish."""
    if isinstance(error, BlockFailure):
        return error.kind
    expected = isinstance(error, DomainError | msgspec.ValidationError)
    return FailureKind.FAILURE if expected else FailureKind.CRASH


def returned(outputs: Iterable[Output]) -> tuple[list[Output], dict[int, str], dict[str, bytes]]:
    """What goes back to a parent: small values, hashes by index, and large values by hash."""
    listed = list(outputs)
    large, values = large_values.take_out((i, value) for i, (_, value) in enumerate(listed))
    return large_values.without(listed, large), large, values


def _checked(event: NodeCompleted | NodeFailed) -> Result:
    """Encode the event. Raises Invalid when its values are too large, too deep or not JSON."""
    try:
        encoded = to_encoded(event)
    except (TypeError, RecursionError) as error:
        raise Invalid(f"a value is not JSON: {error}") from None
    size = len(encoded.state)
    if size > run_limits.NODE_OUTPUT_BYTES_MAX:
        raise Invalid(f"a node yields at most {run_limits.NODE_OUTPUT_BYTES_MAX} bytes")
    if size > SHALLOW_BYTES:
        for name, value in event.outputs:
            check_json(value, name)
    if size <= value_limits.VALUE_INLINE_BYTES_MAX:
        return Result(encoded)
    outputs, large, values = returned(event.outputs)
    lean = msgspec.structs.replace(event, outputs=outputs, large=large)
    return Result(to_encoded(lean), values)


def _message(error: BaseException) -> str:
    text = str(error) if isinstance(error, BlockFailure | DomainError) else ""
    return (text or f"{type(error).__name__}: {error}")[: value_limits.ERROR_CHARS_MAX]
