"""What was found out about a part of the installation."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""
    ERROR = "error"
    """Something does not work as long as this is so."""


class Finding(msgspec.Struct, frozen=True):
    """`advice` says what to do where not all is well."""

    state: State
    part: str
    text: str
    advice: str = ""


def ok(part: str, text: str) -> Finding:
    return Finding(State.OK, part, text)


def warning(part: str, text: str, advice: str) -> Finding:
    return Finding(State.WARNING, part, text, advice)


def error(part: str, text: str, advice: str) -> Finding:
    return Finding(State.ERROR, part, text, advice)


def why(refusal: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(refusal).split()) or type(refusal).__name__
