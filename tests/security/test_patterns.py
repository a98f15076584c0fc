"""No text takes our own patterns longer than its length deserves."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import pytest

from runtime import clock
from tests.test_tidy import PACKAGES, ROOT

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


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """All that are kept by name in a module of the product."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.stem.startswith("__") or package == "benchmarks":
                continue
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.__name__}.{name}", value


FOUND = dict(patterns())


def test_the_patterns_are_found() -> None:
    assert len(FOUND) >= 10


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.holds("S33")
def test_a_pattern_is_linear(name: str) -> None:
    found = FOUND[name]
    for part in PARTS:
        text = part * (LENGTH // len(part)) + "\x01"
        for start in ("", "://", "eyJ", "?"):
            seconds = seconds_of(found, start + text)
            assert seconds < SECONDS_MAX, (part, start)


def seconds_of(pattern: re.Pattern[str] | re.Pattern[bytes], text: str) -> float:
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
