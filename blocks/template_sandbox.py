"""Jinja2 with nothing in reach but the values, and outputs of bounded size.

What this cannot bound is time and memory: a loop over a loop, a product of a text and a number.
So `straight` picks the templates that have neither, and the others are rendered by
`template_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace
from markupsafe import soft_str

from blocks.template_jobs import Answer, Job
from domain import template_limits

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

PRINTABLE = "printable"


def render(job: Job) -> Answer:
    """Render with no bound on time and memory, to be called where something else bounds them."""
    try:
        environment = _environment(_Unprintable, escape_html=job.escape_html)
        template = environment.from_string(_checked(environment.parse(job.source)))
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


class _Function:
    """A function or a method of a value: to be called, and nothing else."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._function(*positional, **named)

    def __repr__(self) -> str:
        raise SecurityError("a function cannot be printed")


class _Unprintable(ImmutableSandboxedEnvironment):
    """Hands functions out in a wrapping, since inside a list nobody looks at what is printed."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._wrapped(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._wrapped(super().getitem(obj, argument))

    def _wrapped(self, value: Any) -> Any:
        # The sandbox has judged it by now, and formats texts by a function of its own.
        is_function = callable(value) and not isinstance(value, Undefined)
        return _Function(value) if is_function else value


def _checked(tree: nodes.Template) -> nodes.Template:
    """The template, in which `~` joins only what could be printed alone."""
    for concat in tree.find_all(nodes.Concat):
        concat.nodes = [
            nodes.Filter(part, PRINTABLE, [], [], None, None, lineno=concat.lineno)
            for part in concat.nodes
        ]
    return tree


@lru_cache(maxsize=4)
def _environment(kind: type[Environment], *, escape_html: bool) -> Environment:
    environment = kind(
        autoescape=escape_html, undefined=StrictUndefined, finalize=_printable, cache_size=0
    )
    # Blocks are pure, so nothing random is offered.
    del environment.filters["random"]
    environment.filters[PRINTABLE] = _printable
    environment.filters["string"] = lambda value: soft_str(_printable(value))
    environment.globals = {"range": _Function(safe_range), "namespace": Namespace}
    return environment


def _printable(value: Any) -> Any:
    """Functions and iterators print as memory addresses, which nobody wants to tell or read."""
    if not isinstance(value, Undefined) and (callable(value) or isinstance(value, Iterator)):
        raise SecurityError(f"a {type(value).__name__.strip('_').lower()} cannot be printed")
    return value


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
