"""What a block promises to the engine: its pins, its kind, whether it acts on the world.

A graph version is stored together with the contracts that it was validated against, so that the
routing of a run stays a function of its stream when a block's code changes later.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from domain.policies import DEFAULT_POLICY, NodePolicy

ERROR_PIN = "error"
"""Every block can yield its failure on this output pin."""


class BlockKind(StrEnum):
    """The contract's `uiType` of a block as the list of blocks shows it."""

    STANDARD = "Standard"
    INPUT = "Input"
    OUTPUT = "Output"
    NOTE = "Note"
    WEBHOOK = "Webhook"
    WEBHOOK_MANUAL = "Webhook (manual)"
    AGENT = "Agent"
    HUMAN_IN_THE_LOOP = "Human In The Loop"


class Effect(StrEnum):
    """What running a node means to the world, and so what must be durable before it starts."""

    PURE = "pure"
    """Same input, same output, nothing else: its result is made durable with what follows."""
    EFFECTFUL = "effectful"
    """Acts on the world: its intent is durable before it starts, and it gets a stable key."""
    TIMER = "timer"
    """Waits until a recorded moment, then behaves as a pure block."""
    REVIEW = "review"
    """Asks a person, waits as state, then behaves as a pure block that knows the answer."""
    CHILD = "child"
    """Is a run of another graph; waits as state for its end and has no code of its own."""


class CostType(StrEnum):
    RUN = "run"


class BlockCost(msgspec.Struct, frozen=True):
    """A price in credits, in the contract's shape."""

    cost_amount: int
    cost_type: CostType = CostType.RUN
    cost_filter: dict[str, Any] = {}
    cost_divisor: int = 1


class BlockContract(msgspec.Struct, frozen=True, omit_defaults=True):
    """`inputs` and `outputs` are JSON Schemas by pin.

    `required` names the pins without default, except those in `credentials`: a value of these
    points to a secret, and nodes without one have rules of their own.
    """

    block_id: str
    name: str
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    required: tuple[str, ...] = ()
    kind: BlockKind = BlockKind.STANDARD
    effect: Effect = Effect.PURE
    static_output: bool = False
    cost: int = 0
    """Credits of one node execution."""
    sensitive: bool = False
    """It shall not happen without a person's consent, where a run asks for that."""
    policy: NodePolicy = DEFAULT_POLICY
    credentials: tuple[str, ...] = ()
