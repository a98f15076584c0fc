"""Running one node: from a ready execution to the event that says how it went."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import structlog

from blocks.catalogue import CATALOGUE
from blocks.contract import Block, BlockFailure, Context
from domain import limits
from domain.contracts import ERROR_PIN
from domain.engine.execution import Execution
from domain.errors import DomainError, Invalid
from domain.json_values import check_json
from domain.runs import NodeCompleted, NodeFailed, Output
from runtime import clock
from runtime.eventlog.mapper import Encoded, to_encoded

log = structlog.get_logger()

SHALLOW_BYTES = 2 * limits.JSON_DEPTH_MAX
"""A shorter text cannot nest too deep."""


class Attempt:
    """One attempt to run a node; collects what it yields."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._outputs: list[Output] = []
        self._began_us = clock.monotonic_us()

    def run(self, context: Context) -> Encoded | AsyncIterator[Output]:
        """Run a cheap block to its end, or hand back the iterator of one that takes time."""
        try:
            block = block_of(self.execution)
            outputs = block.run(inputs_of(block, self.execution), context)
            if isinstance(outputs, AsyncIterator):
                return outputs
            self._collect(outputs)
        except Exception as error:  # noqa: BLE001 - whatever a block raises fails its node
            return self.failed(error)
        return self._completed()

    async def finish(self, outputs: AsyncIterator[Output]) -> Encoded:
        """Run a block that takes time to its end."""
        try:
            async for output in outputs:
                self._take(output)
        except Exception as error:  # noqa: BLE001
            return self.failed(error)
        return self._completed()

    def _collect(self, outputs: Iterator[Output]) -> None:
        for output in outputs:
            self._take(output)

    def _take(self, output: Output) -> None:
        name, value = output
        if name == ERROR_PIN:
            raise BlockFailure(value if isinstance(value, str) else str(value))
        if len(self._outputs) >= limits.NODE_OUTPUTS_MAX:
            raise BlockFailure(f"a node yields at most {limits.NODE_OUTPUTS_MAX} values")
        self._outputs.append((name, value))

    def _completed(self) -> Encoded:
        try:
            return _checked(
                NodeCompleted(
                    execution=self.execution.number,
                    node=self.execution.node.node.node_id,
                    outputs=self._outputs,
                    elapsed_us=self._elapsed_us,
                    cost=self.execution.node.node.contract.cost,
                )
            )
        except Invalid as error:
            self._outputs = []
            return self.failed(error)

    def failed(self, error: Exception) -> Encoded:
        """The attempt as a failure; what was yielded before it stays valid (4.8, N3)."""
        message = _message(error)
        if not isinstance(error, BlockFailure | DomainError | msgspec.ValidationError):
            name = self.execution.node.node.contract.name
            log.error("node.raised", block=name, exc_info=error)
        failed = NodeFailed(
            execution=self.execution.number,
            node=self.execution.node.node.node_id,
            error=message,
            elapsed_us=self._elapsed_us,
            outputs=self._outputs,
        )
        try:
            return _checked(failed)
        except Invalid:
            return to_encoded(msgspec.structs.replace(failed, outputs=[], error=ascii(message)))

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


def _checked(event: NodeCompleted | NodeFailed) -> Encoded:
    """Encode the event. Raises Invalid when its values are too large, too deep or not JSON."""
    try:
        encoded = to_encoded(event)
    except (TypeError, RecursionError) as error:
        raise Invalid(f"a value is not JSON: {error}") from None
    if len(encoded.state) > limits.NODE_OUTPUT_BYTES_MAX:
        raise Invalid(f"a node yields at most {limits.NODE_OUTPUT_BYTES_MAX} bytes")
    if len(encoded.state) > SHALLOW_BYTES:
        for name, value in event.outputs:
            check_json(value, name)
    return encoded


def _message(error: Exception) -> str:
    text = str(error) if isinstance(error, BlockFailure | DomainError) else ""
    return (text or f"{type(error).__name__}: {error}")[: limits.ERROR_CHARS_MAX]
