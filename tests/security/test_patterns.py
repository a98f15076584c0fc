"""No text takes our own patterns longer than its length deserves."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from blocks.catalogue import CONTRACTS
from runtime import clock
from tests.test_tidy import PACKAGES, ROOT

Pattern = re.Pattern[str] | re.Pattern[bytes]

SECONDS_MAX = 0.5
"""A text of this length takes a linear pattern a few milliseconds, a quadratic one many seconds."""
LENGTH = 50_000
PARTS = [
    *"a0Z_-.:/\\#$@%&?= \t\n\x00\x1b\u00e9[]{}'\"",
    *(
        "aA0",
        "a.",
        "a-",
        "_$_",
        "_#_",
        "_@_",
        "\\\\",
        "\\u0000",
        "://",
        "://a",
        "a@",
        "eyJ",
        "eyJa.",
    ),
    *("?key=", "?token", "&tokensecret", "Bearer ", "token_", "-key", "-keys", "cookie"),
]
"""What an attack repeats, before something that does not match."""


FUNCTIONS = {
    "compile",
    "search",
    "match",
    "fullmatch",
    "split",
    "findall",
    "finditer",
    "sub",
    "subn",
}
COMPILES_SCHEMAS = "domain/engine/schemas.py"
"""Makes patterns of what is no literal: of the schemas of blocks, which are in the catalogue."""


class Call(NamedTuple):
    """One that makes a pattern, or uses one that it is given as a text."""

    function: str | None
    """That it stands in."""
    pattern: Pattern | None
    """None when it is no literal."""


def calls(tree: ast.AST, function: str | None = None) -> Iterator[Call]:
    """All below this node, wherever they stand."""
    for child in ast.iter_child_nodes(tree):
        name = getattr(child, "name", function)
        inside = name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(child, ast.Call) and makes_pattern(child.func):
            yield Call(function, literal(child))
        yield from calls(child, inside)


def makes_pattern(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and ast.unparse(function.value) == "re"
        and function.attr in FUNCTIONS
    )


def literal(call: ast.Call) -> Pattern | None:
    """What it is given, if that is written there."""
    text = next((k.value for k in call.keywords if k.arg == "pattern"), *call.args[:1])
    flags = next((k.value for k in call.keywords if k.arg == "flags"), None)
    if flags is None and ast.unparse(call.func) == "re.compile":
        flags = next(iter(call.args[1:2]), None)
    if not isinstance(text, ast.Constant):
        return None
    given: Any = text.value
    return re.compile(given, 0 if flags is None else eval(ast.unparse(flags), {"re": re}))


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if package != "benchmarks":
                yield (
                    path.relative_to(ROOT).as_posix(),
                    ast.parse(path.read_text(encoding="utf-8")),
                )


def patterns() -> Iterator[tuple[str, Pattern]]:
    """Those that a module keeps by name, those that stand in a call, and those of the catalogue."""
    for name, tree in sources():
        inline = [call.pattern for call in calls(tree) if call.pattern is not None]
        yield from ((f"{name}:{pattern.pattern!r}", pattern) for pattern in inline)
        if not name.endswith("__main__.py"):
            module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
            for variable, value in vars(module).items():
                if isinstance(value, re.Pattern) and value not in inline:
                    yield f"{name}:{variable}", value
    for contract in CONTRACTS.values():
        for text in in_schemas([contract.inputs, contract.outputs]):
            yield f"{contract.name}:{text!r}", re.compile(text)


def in_schemas(value: Any) -> Iterator[str]:
    """All that a schema calls a pattern."""
    if isinstance(value, Mapping):
        if isinstance(text := value.get("pattern"), str):
            yield text
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from in_schemas(member)


FOUND = {pattern: name for name, pattern in patterns()}
"""Each once, by whichever of its places."""
INLINE = """
class A:
    def f(self, x):
        return [re.sub("(a+)+$", "", y) for y in x] + re.compile(pattern=b"b", flags=re.I | re.M)
    async def g(self, x):
        return re.search(x, "text")
TOP = re.compile(f"{x}")
"""


def test_the_patterns_are_found() -> None:
    assert len(FOUND) >= 10


def test_a_pattern_is_found_wherever_it_stands() -> None:
    """And what is no literal is seen to be none."""
    assert list(calls(ast.parse(INLINE))) == [
        ("f", re.compile("(a+)+$")),
        ("f", re.compile(b"b", re.IGNORECASE | re.MULTILINE)),
        ("g", None),
        (None, None),
    ]


@pytest.mark.holds("S33")
def test_nobody_brings_a_pattern() -> None:
    """What is no literal is kept by its module, or comes from the catalogue."""
    unknown = {
        name
        for name, tree in sources()
        for call in calls(tree)
        if call.pattern is None and call.function is not None
    }
    assert unknown == {COMPILES_SCHEMAS}
    for name, tree in sources():
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert "re" not in modules, f"{name} hides what it uses of `re`"


@pytest.mark.parametrize("found", FOUND, ids=FOUND.values())
@pytest.mark.holds("S33")
def test_a_pattern_is_linear(found: Pattern) -> None:
    for part in PARTS:
        text = part * (LENGTH // len(part)) + "\x01"
        for start in ("", "://", "eyJ", "?"):
            seconds = seconds_of(found, start + text)
            assert seconds < SECONDS_MAX, (part, start)


def seconds_of(pattern: Pattern, text: str) -> float:
    """To look for all there is, and to compare the whole."""
    began = clock.monotonic()
    if isinstance(pattern.pattern, bytes):
        each_bytes: re.Pattern[bytes] = re.compile(pattern.pattern, pattern.flags)
        each_bytes.findall(text.encode())
        each_bytes.fullmatch(text.encode())
    else:
        each: re.Pattern[str] = re.compile(pattern.pattern, pattern.flags)
        each.findall(text)
        each.fullmatch(text)
    return clock.monotonic() - began
