"""What follows when an attempt of a node fails, takes too long, or has no known outcome.

A block has a policy of its own, and `metadata.policy` of a node says where the node differs:

    {"retries": {"attempts": 5, "first_seconds": 1, "factor": 2, "longest_seconds": 60,
                 "jitter": 0.5},
     "retry_on": ["timeout", "unavailable", "failure", "crash"],
     "timeout_seconds": 30, "in_doubt": "ask", "effectful": true}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from domain.errors import Invalid
from domain.limits import run_limits

PLACE = "metadata.policy"
"""Where a node says what differs from its block's policy."""


class FailureKind(StrEnum):
    """What can be wrong with an attempt."""

    TIMEOUT = "timeout"
    """It took longer than the policy allows."""
    UNAVAILABLE = "unavailable"
    """Something that it needs does not answer; later it may."""
    FAILURE = "failure"
    """The block reports that it cannot do what it shall."""
    CRASH = "crash"
    """The block raised what no block should."""


class InDoubt(StrEnum):
    """What is done about an effect that may have happened: a crash hides whether it has."""

    REPEAT = "repeat"
    """Do it again, under the same key."""
    ASK = "ask"
    """Let a person decide."""
    FAIL = "fail"
    """Fail the node."""


class Retries(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often, and after which pauses.

    The pause grows by `factor` from `first_seconds` to `longest_seconds`. `jitter` is the part of
    it that is left to chance, so that what failed together does not come back together.
    """

    attempts: int = 1
    """In all, the first one included."""
    first_seconds: float = 1.0
    factor: float = 2.0
    longest_seconds: float = 60.0
    jitter: float = 0.5


class NodePolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """`timeout_seconds` bounds one attempt; None: nothing does.

    `effectful` makes every execution of a pure node durable by itself, with intent and key as if
    it acted on the world; elsewhere it changes nothing.
    """

    retries: Retries = Retries()
    retry_on: tuple[FailureKind, ...] = (FailureKind.TIMEOUT, FailureKind.UNAVAILABLE)
    timeout_seconds: float | None = None
    in_doubt: InDoubt = InDoubt.REPEAT
    effectful: bool = False


DEFAULT_POLICY: Final = NodePolicy()
"""One attempt, for as long as it takes; an effect in doubt is repeated."""


def read_policy(metadata: Mapping[str, Any], default: NodePolicy) -> NodePolicy:
    """The policy of a node: what its metadata says, laid over `default`.

    Raises Invalid with the place and what is allowed there, such as
    `metadata.policy.retries.attempts must be a whole number from 1 to 100`.
    """
    given = metadata.get("policy")
    if given is None:
        return default
    retries: _Reader = partial(_retries, default.retries)
    return _laid_over(default, given, PLACE, {"retries": retries, **_POLICY_READERS})


def retry_at(policy: NodePolicy, attempt: int, kind: FailureKind, key: str) -> float | None:
    """Seconds from the failure of an attempt, counted from 1, to the next one; None: no more.

    They are never less than POLICY_PAUSE_SECONDS_MIN. Chance is drawn from the key of the node
    execution and the attempt, so the answer is always the same.
    """
    retries = policy.retries
    if attempt >= retries.attempts or kind not in policy.retry_on:
        return None
    pause = min(retries.longest_seconds, retries.first_seconds * retries.factor ** (attempt - 1))
    shortened = pause * (1 - retries.jitter * _chance(key, attempt))
    return max(shortened, run_limits.POLICY_PAUSE_SECONDS_MIN)


def _chance(key: str, attempt: int) -> float:
    """A number from 0 to 1."""
    digest = hashlib.sha256(f"{key}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


_Reader = Callable[[Any, str], Any]
"""The value that is meant by one at a place. Raises Invalid."""
_Policy = TypeVar("_Policy", NodePolicy, Retries)


def _laid_over(base: _Policy, given: Any, place: str, readers: Mapping[str, _Reader]) -> _Policy:
    if not isinstance(given, dict):
        raise Invalid(f"{place} must be an object")
    for key in given:
        if key not in readers:
            raise Invalid(f"{place}.{key} is not known, only: {', '.join(readers)}")
    changes = {key: readers[key](value, f"{place}.{key}") for key, value in given.items()}
    return msgspec.structs.replace(base, **changes)


def _retries(base: Retries, given: Any, place: str) -> Retries:
    retries = _laid_over(base, given, place, _RETRIES_READERS)
    if retries.longest_seconds < retries.first_seconds:
        raise Invalid(
            f"{place}.longest_seconds must be at least first_seconds, {retries.first_seconds:g}"
        )
    return retries


def _whole_number(least: int, most: int) -> _Reader:
    def read(value: Any, place: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Invalid(f"{place} must be a whole number from {least} to {most}")
        return value

    return read


def _number(least: float, most: float) -> _Reader:
    def read(value: Any, place: str) -> float:
        if type(value) not in {int, float} or not least <= value <= most:
            raise Invalid(f"{place} must be a number from {least:g} to {most:g}")
        return float(value)

    return read


def _or_null(reader: _Reader) -> _Reader:
    return lambda value, place: None if value is None else reader(value, place)


def _kinds(value: Any, place: str) -> tuple[FailureKind, ...]:
    if not isinstance(value, list) or not all(kind in list(FailureKind) for kind in value):
        raise Invalid(f"{place} must be a list of {', '.join(FailureKind)}")
    return tuple(FailureKind(kind) for kind in dict.fromkeys(value))


def _in_doubt(value: Any, place: str) -> InDoubt:
    if value not in list(InDoubt):
        raise Invalid(f"{place} must be one of {', '.join(InDoubt)}")
    return InDoubt(value)


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{place} must be true or false")
    return value


_RETRIES_READERS: Mapping[str, _Reader] = {
    "attempts": _whole_number(1, run_limits.POLICY_ATTEMPTS_MAX),
    "first_seconds": _number(0, run_limits.POLICY_PAUSE_SECONDS_MAX),
    "factor": _number(1, run_limits.POLICY_FACTOR_MAX),
    "longest_seconds": _number(0, run_limits.POLICY_PAUSE_SECONDS_MAX),
    "jitter": _number(0, 1),
}
_POLICY_READERS: Mapping[str, _Reader] = {
    "retry_on": _kinds,
    "timeout_seconds": _or_null(
        _number(run_limits.POLICY_TIMEOUT_SECONDS_MIN, run_limits.POLICY_TIMEOUT_SECONDS_MAX)
    ),
    "in_doubt": _in_doubt,
    "effectful": _flag,
}
