"""Jinja2 with nothing in reach but the values, and outputs of bounded size.

What this cannot bound is time and memory: a loop over a loop, a product of a text and a number.
So `straight` picks the templates that have neither, and the others are rendered by
`template_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, wraps
from itertools import islice
from typing import Any, ClassVar, NamedTuple

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace

from blocks.template_jobs import Answer, Job
from domain.limits import template_limits

STRAIGHT_FILTERS = frozenset(
    {
        "capitalize",
        "count",
        "d",
        "default",
        "e",
        "escape",
        "first",
        "float",
        "int",
        "last",
        "length",
        "lower",
        "safe",
        "string",
        "trim",
        "upper",
    }
)
"""Filters whose work and result are of the order of their input."""


def render(job: Job) -> Answer:
    """Render with no bound on time and memory, to be called where something else bounds them."""
    try:
        environment = _environment(_Hiding, escape_html=job.escape_html)
        template = environment.from_string(job.source)
        return Answer(text=_joined(template.generate(job.values)))
    except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
        return Answer(failure=_explained(error))


def render_straight(job: Job) -> Answer | None:
    """Render a template that can neither loop nor grow; None for any other."""
    try:
        straight = _straight(job.source, escape_html=job.escape_html)
        if straight is None or not straight.is_light_with(job.values):
            return None
        return Answer(text=_joined(straight.template.generate(job.values)))
    except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
        return Answer(failure=_explained(error))


class _NoAttributes(ImmutableSandboxedEnvironment):
    """Without calls an attribute is good for nothing but to be told the address of a method."""

    def is_safe_attribute(self, _obj: Any, _attr: str, _value: Any) -> bool:
        return False


class _Hidden:
    """What Python prints as an address in its memory: to be used, and not to be printed."""

    CALLED: ClassVar[str]

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        raise SecurityError(f"{self.CALLED} cannot be printed")


class _Function(_Hidden):
    """A function or a method of a value."""

    CALLED = "a function"

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._inner(*positional, **named)


class _Iterator(_Hidden):
    """What a filter makes of a list, piece by piece."""

    CALLED = "an iterator"

    def __iter__(self) -> Any:
        return self._inner


def _hidden(value: Any) -> Any:
    """The value, in a wrapping if it would print as an address. Whoever looks at a text that comes
    out finds it too late: inside a list, or a refusal, it is printed by Python.
    """
    if isinstance(value, _Hidden | Undefined | LoopContext):
        return value
    if isinstance(value, Iterator):
        return _Iterator(value)
    return _Function(value) if callable(value) else value


def _hiding(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, with its result hidden."""

    @wraps(function)
    def hiding(*positional: Any, **named: Any) -> Any:
        return _hidden(function(*positional, **named))

    return hiding


class _Hiding(ImmutableSandboxedEnvironment):
    """Hands out what prints as an address in a wrapping, when the sandbox has judged it."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _hidden(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _hidden(super().getitem(obj, argument))


@lru_cache(maxsize=4)
def _environment(kind: type[Environment], *, escape_html: bool) -> Environment:
    environment = kind(autoescape=escape_html, undefined=StrictUndefined, cache_size=0)
    # Blocks are pure, so nothing random is offered.
    del environment.filters["random"]
    environment.filters = {name: _hiding(each) for name, each in environment.filters.items()}
    environment.globals = {"range": _Function(safe_range), "namespace": _Function(Namespace)}
    return environment


class Straight(NamedTuple):
    """A template of which each token works at most once on all the values."""

    template: Template
    tokens: int

    def is_light_with(self, values: Mapping[str, Any]) -> bool:
        return _is_smaller(values, template_limits.INLINE_WORK_MAX // max(self.tokens, 1))


@lru_cache(maxsize=template_limits.CACHE_MAX)
def _straight(source: str, *, escape_html: bool) -> Straight | None:
    """The compiled template if it is straight-line, decided before anything is compiled.

    Compiling already calculates with constants, which is where `'a' * 10**9` takes its memory.
    """
    environment = _environment(_NoAttributes, escape_html=escape_html)
    most = template_limits.INLINE_TOKENS_MAX
    tokens = sum(1 for _ in islice(environment.lex(source), most + 1))
    if tokens > most:
        return None
    tree = environment.parse(source)
    if not _all_straight(tree.body, template_limits.INLINE_DEPTH_MAX):
        return None
    return Straight(environment.from_string(tree), tokens)


def _all_straight(parts: Iterable[nodes.Node], depth: int) -> bool:
    return depth > 0 and all(_is_straight(part, depth - 1) for part in parts)


def _is_straight(node: nodes.Node, depth: int) -> bool:
    match node:
        case nodes.TemplateData() | nodes.Const() | nodes.Name(ctx="load"):
            return True
        case nodes.Output() | nodes.Getattr() | nodes.Getitem() | nodes.Keyword():
            return _all_straight(node.iter_child_nodes(), depth)
        case nodes.Filter(name=name, dyn_args=None, dyn_kwargs=None) if name in STRAIGHT_FILTERS:
            return _all_straight(node.iter_child_nodes(), depth)
        case _:
            return False


def _is_smaller(values: Mapping[str, Any], budget: int) -> bool:
    """Whether the values are no more work than `budget` characters; does not count further."""
    pending: list[Any] = [values]
    while pending and budget >= 0:
        value = pending.pop()
        if isinstance(value, str):
            budget -= len(value)
        elif isinstance(value, list | dict):
            budget -= len(value) * template_limits.ELEMENT_CHARS
            pending += value
            pending += value.values() if isinstance(value, dict) else ()
    return budget >= 0


def _joined(pieces: Iterable[str]) -> str:
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > template_limits.OUTPUT_CHARS_MAX:
            raise TemplateError(f"more than {template_limits.OUTPUT_CHARS_MAX} characters come out")
        kept.append(piece)
    text = "".join(kept)
    text.encode()  # a lone surrogate is no text
    return text


def _explained(error: Exception) -> str:
    match error:
        case TemplateSyntaxError():
            return f"line {error.lineno}: {error.message}"
        case TemplateError():
            return error.message or type(error).__name__
        case RecursionError():
            return "the template is nested too deeply"
        case MemoryError():
            return "the template needs too much memory"
        case UnicodeEncodeError():
            return "the template makes what is not Unicode text"
        case _:
            return f"{type(error).__name__}: {error}"
