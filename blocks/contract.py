"""The block contract: what a class must say so that a graph can use it.

A block is a class with an id, a nested `Input` and `Output` and one method:

    class Shout(Block):
        id = "…uuid…"
        description = "Text in capitals"
        categories = (Category.TEXT,)

        class Input(Pins):
            text: Annotated[str, pin("What to shout")]

        class Output(Pins):
            output: str

        test_input: ClassVar = {"text": "hello"}
        test_output = (("output", "HELLO"),)

        def run(self, inputs: Input, context: BlockContext) -> Yields:
            yield "output", inputs.text.upper()

Defining the class registers it. `blocks/catalogue.py` lists our modules; those of others come as
plug-ins, see `blocks/plugins.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeAlias

import msgspec

from blocks.template_jobs import Job
from domain.contracts import BlockContract, BlockCost, BlockKind, Effect
from domain.http import Body, HttpAnswer
from domain.policies import DEFAULT_POLICY, FailureKind, NodePolicy

__all__ = [
    "AsyncYields",
    "Block",
    "BlockContext",
    "BlockFailure",
    "BlockUnavailable",
    "Category",
    "Http",
    "HttpAnswer",
    "Outputs",
    "Pins",
    "Question",
    "ReviewBlock",
    "Reviewed",
    "Templates",
    "TimerBlock",
    "Yields",
    "pin",
]

Yields: TypeAlias = Iterator[tuple[str, Any]]
"""Pairs of output pin and JSON value, in order, from work of well under a millisecond a pair."""
AsyncYields: TypeAlias = AsyncIterator[tuple[str, Any]]
"""The same from work that takes longer or waits."""
Outputs: TypeAlias = Yields | AsyncYields


class Category(StrEnum):
    BASIC = "BASIC"
    INPUT = "INPUT"
    OUTPUT = "OUTPUT"
    LOGIC = "LOGIC"
    TEXT = "TEXT"
    DATA = "DATA"
    AGENT = "AGENT"


class BlockFailure(Exception):
    """What a block raises to fail its node with a message for people."""

    kind: ClassVar[FailureKind] = FailureKind.FAILURE


class BlockUnavailable(BlockFailure):
    """What failed may work later; the node's policy says whether it is tried again."""

    kind = FailureKind.UNAVAILABLE


class Http(Protocol):
    """The only way out: public addresses, bounded in time, size and redirects."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Body | None
    ) -> HttpAnswer:
        """Send one request and give the final answer of its redirects.

        Raises HttpRefused when it is not allowed and HttpFailure when there is no usable answer.
        """
        ...


class Templates(Protocol):
    """Rendering at arm's length, for what `render_now` of templates.py leaves."""

    async def render(self, job: Job) -> str:
        """The text of the template.

        Raises TemplateFailure as `render_now` does, and for a template that exceeds
        SECONDS_MAX or MEMORY_BYTES_MAX of `domain/limits/template_limits.py`.
        """
        ...


class Question(msgspec.Struct, frozen=True):
    """What a person is asked: whether `data` shall go on, after edits where it is `editable`."""

    name: str
    data: Any
    editable: bool


class Reviewed(msgspec.Struct, frozen=True):
    """A person's word. `data` is what was asked about, with the person's edits."""

    approved: bool
    data: Any
    message: str = ""


class BlockContext(Protocol):
    """What a block may know beside its inputs. What none asks for costs nothing."""

    @property
    def now(self) -> datetime:
        """The moment at which the block asked for it first."""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this node execution, different for any other."""

    @property
    def http(self) -> Http:
        """The way out, as the user has it whose run it is."""

    @property
    def templates(self) -> Templates:
        """The processes that render, as the same user has them."""

    @property
    def attempt(self) -> int:
        """Counted from 1."""

    @property
    def review(self) -> Reviewed | None:
        """There for a ReviewBlock, and for no other."""


class Pins(msgspec.Struct):
    """Base of `Input` and `Output`: one field a pin; the required ones have no default."""


def pin(
    description: str,
    *,
    title: str | None = None,
    advanced: bool = False,
    secret: bool = False,
    placeholder: str | None = None,
) -> msgspec.Meta:
    """Annotate a pin with what the contract's schemas carry about it."""
    extra: dict[str, Any] = {"advanced": advanced, "secret": secret}
    if placeholder is not None:
        extra["placeholder"] = placeholder
    return msgspec.Meta(title=title, description=description, extra_json_schema=extra)


class Block:
    """Base of every block. Instances are stateless and shared by all runs.

    `run(inputs, context)` raises BlockFailure at the call or while its values are taken; what it
    yielded before stands. `test_input` is an example that yields exactly `test_output`, shown to
    clients and run by the tests at 2026-01-01T00:00:00Z.
    """

    id: ClassVar[str]
    description: ClassVar[str]
    categories: ClassVar[tuple[Category, ...]]
    kind: ClassVar[BlockKind] = BlockKind.STANDARD
    effect: ClassVar[Effect] = Effect.PURE
    static_output: ClassVar[bool] = False
    is_sensitive_action: ClassVar[bool] = False
    """Where a run asks for that, it happens with a person's consent only."""
    costs: ClassVar[tuple[BlockCost, ...]] = ()
    policy: ClassVar[NodePolicy] = DEFAULT_POLICY
    """What a node of this block does about failures, unless its metadata says otherwise."""
    credentials: ClassVar[tuple[str, ...]] = ()
    """The pins whose value points to a secret: an object with an `id`."""

    test_input: ClassVar[dict[str, Any]]
    test_output: ClassVar[tuple[tuple[str, Any], ...]]

    Input: ClassVar[type[Pins]]
    Output: ClassVar[type[Pins]]
    run: Callable[..., Outputs]

    registered: ClassVar[list[type[Block]]] = []
    """Every class with an id, in the order of definition."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "id" in vars(cls):
            Block.registered.append(cls)

    @property
    def name(self) -> str:
        return f"{type(self).__name__}Block"

    def contract(self) -> BlockContract:
        """The promise that graphs of this block are validated against and stored with."""
        inputs = msgspec.structs.fields(self.Input)
        outputs = msgspec.structs.fields(self.Output)
        return BlockContract(
            block_id=self.id,
            name=self.name,
            inputs={field.encode_name: _pin_schema(field) for field in inputs},
            outputs={field.encode_name: _pin_schema(field) for field in outputs},
            required=tuple(
                field.encode_name
                for field in inputs
                if field.required and field.encode_name not in self.credentials
            ),
            kind=self.kind,
            effect=self.effect,
            static_output=self.static_output,
            cost=sum(cost.cost_amount for cost in self.costs),
            sensitive=self.is_sensitive_action,
            policy=self.policy,
            credentials=self.credentials,
        )


class TimerBlock(Block):
    """A block that waits `delay(inputs)` seconds and then runs as a pure one.

    `delay` raises BlockFailure when the inputs name no possible time.
    """

    effect = Effect.TIMER
    delay: Callable[..., float]


class ReviewBlock(Block):
    """A block that puts `question(inputs)` to a person and then runs as a pure one.

    Its `run` finds the answer in the context's `review`.
    """

    effect = Effect.REVIEW
    question: Callable[..., Question]


def _pin_schema(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    schema = msgspec.json.schema(field.type)
    if not field.required and field.default is not msgspec.NODEFAULT:
        schema["default"] = msgspec.to_builtins(field.default)
    elif not field.required:
        schema["default"] = msgspec.to_builtins(field.default_factory())
    schema.setdefault("title", field.encode_name.replace("_", " ").title())
    schema.setdefault("advanced", False)
    schema.setdefault("secret", False)
    return schema
