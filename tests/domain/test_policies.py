from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import BlockContract
from domain.errors import Invalid
from domain.limits import run_limits
from domain.policies import (
    DEFAULT_POLICY,
    FailureKind,
    InDoubt,
    NodePolicy,
    Retries,
    read_policy,
    retry_at,
)
from tests.domain.values import json_values

WHOLE: dict[str, Any] = {
    "retries": {
        "attempts": 5,
        "first_seconds": 2,
        "factor": 3,
        "longest_seconds": 90.5,
        "jitter": 0,
    },
    "retry_on": ["crash", "failure", "crash"],
    "timeout_seconds": 30,
    "in_doubt": "ask",
    "effectful": True,
}
READ = NodePolicy(
    retries=Retries(attempts=5, first_seconds=2, factor=3, longest_seconds=90.5, jitter=0),
    retry_on=(FailureKind.CRASH, FailureKind.FAILURE),
    timeout_seconds=30,
    in_doubt=InDoubt.ASK,
    effectful=True,
)


def read(policy: object, default: NodePolicy = DEFAULT_POLICY) -> NodePolicy:
    return read_policy({"position": {"x": 1}, "policy": policy}, default)


def test_by_default_a_node_is_tried_once_for_as_long_as_it_takes() -> None:
    assert DEFAULT_POLICY.retries.attempts == 1
    assert DEFAULT_POLICY.retry_on == (FailureKind.TIMEOUT, FailureKind.UNAVAILABLE)
    assert DEFAULT_POLICY.timeout_seconds is None
    assert DEFAULT_POLICY.in_doubt is InDoubt.REPEAT
    assert not DEFAULT_POLICY.effectful


def test_a_policy_is_read_whole() -> None:
    assert read(WHOLE) == READ


def test_what_a_node_does_not_say_is_as_the_block_says() -> None:
    assert read_policy({}, READ) is read(None, READ) is READ
    assert read({}, READ) == READ
    changed = read({"retries": {"attempts": 2}, "timeout_seconds": None}, READ)
    retries = msgspec.structs.replace(READ.retries, attempts=2)
    assert changed == msgspec.structs.replace(READ, retries=retries, timeout_seconds=None)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ([], " must be an object"),
        (
            {"retrys": 5},
            ".retrys is not known, only: retries, retry_on, timeout_seconds, in_doubt, effectful",
        ),
        ({"retries": 5}, ".retries must be an object"),
        (
            {"retries": {"attempt": 5}},
            (
                ".retries.attempt is not known, only: "
                "attempts, first_seconds, factor, longest_seconds, jitter"
            ),
        ),
        *(
            (
                {"retries": {"attempts": value}},
                ".retries.attempts must be a whole number from 1 to 100",
            )
            for value in (0, 101, 2.0, True, "2", None)
        ),
        (
            {"retries": {"first_seconds": -1}},
            ".retries.first_seconds must be a number from 0 to 86400",
        ),
        ({"retries": {"factor": 0.5}}, ".retries.factor must be a number from 1 to 10"),
        ({"retries": {"jitter": 1.5}}, ".retries.jitter must be a number from 0 to 1"),
        ({"retries": {"jitter": False}}, ".retries.jitter must be a number from 0 to 1"),
        (
            {"retries": {"first_seconds": 61}},
            ".retries.longest_seconds must be at least first_seconds, 61",
        ),
        ({"retry_on": "crash"}, ".retry_on must be a list of timeout, unavailable, failure, crash"),
        (
            {"retry_on": [["crash"]]},
            ".retry_on must be a list of timeout, unavailable, failure, crash",
        ),
        ({"timeout_seconds": 0}, ".timeout_seconds must be a number from 0.001 to 86400"),
        ({"in_doubt": "guess"}, ".in_doubt must be one of repeat, ask, fail"),
        ({"in_doubt": {}}, ".in_doubt must be one of repeat, ask, fail"),
        ({"effectful": 1}, ".effectful must be true or false"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place_and_what_is_allowed(
    policy: object, problem: str
) -> None:
    with pytest.raises(Invalid) as raised:
        read(policy)
    assert raised.value.message == f"metadata.policy{problem}"


@given(
    st.dictionaries(
        st.sampled_from([*WHOLE, "x"]),
        json_values | st.dictionaries(st.sampled_from([*WHOLE["retries"], "x"]), json_values),
    )
)
def test_any_json_is_a_policy_or_refused(policy: dict[str, Any]) -> None:
    with contextlib.suppress(Invalid):
        found = read(policy)
        assert msgspec.json.decode(msgspec.json.encode(found), type=NodePolicy) == found


def test_a_policy_reads_back_and_the_default_takes_no_room() -> None:
    assert read(msgspec.json.decode(msgspec.json.encode(READ))) == READ
    contract = BlockContract("b", "Block", {}, {})
    assert "policy" not in msgspec.to_builtins(contract)
    other = msgspec.structs.replace(contract, policy=READ)
    assert msgspec.json.decode(msgspec.json.encode(other), type=BlockContract) == other


def after(attempt: int, retries: Retries, kind: FailureKind = FailureKind.TIMEOUT) -> float | None:
    return retry_at(NodePolicy(retries=retries), attempt, kind, "run/0")


def test_pauses_grow_until_they_are_the_longest() -> None:
    retries = Retries(attempts=6, first_seconds=1, factor=3, longest_seconds=10, jitter=0)
    assert [after(attempt, retries) for attempt in range(1, 7)] == [1, 3, 9, 10, 10, None]


def test_no_pause_is_shorter_than_the_least() -> None:
    for retries in (
        Retries(attempts=9, first_seconds=0, longest_seconds=0),
        Retries(attempts=9, first_seconds=0.3, factor=1, jitter=1),
    ):
        pauses = [after(attempt, retries) or 0 for attempt in range(1, 9)]
        assert min(pauses) == run_limits.POLICY_PAUSE_SECONDS_MIN


def test_only_what_the_policy_names_is_tried_again() -> None:
    retries = Retries(attempts=2)
    for kind in FailureKind:
        assert (after(1, retries, kind) is not None) == (kind in DEFAULT_POLICY.retry_on)


def test_a_pause_is_the_same_at_every_reading() -> None:
    """It was announced before a crash and must not be another one after it."""
    assert after(1, Retries(attempts=2)) == 0.5607469854421969


@given(
    attempt=st.integers(1, run_limits.POLICY_ATTEMPTS_MAX - 1),
    first=st.floats(0, run_limits.POLICY_PAUSE_SECONDS_MAX),
    factor=st.floats(1, run_limits.POLICY_FACTOR_MAX),
    jitter=st.floats(0, 1),
    key=st.text(max_size=40),
)
def test_jitter_only_shortens(
    attempt: int, first: float, factor: float, jitter: float, key: str
) -> None:
    steady = Retries(
        run_limits.POLICY_ATTEMPTS_MAX, first, factor, run_limits.POLICY_PAUSE_SECONDS_MAX, 0
    )
    jittery = msgspec.structs.replace(steady, jitter=jitter)
    longest, pause = (
        retry_at(NodePolicy(retries=retries), attempt, FailureKind.TIMEOUT, key)
        for retries in (steady, jittery)
    )
    assert longest is not None
    assert pause is not None
    assert longest * (1 - jitter) * (1 - 1e-9) <= pause <= longest


def test_what_fails_together_does_not_come_back_together() -> None:
    policy = NodePolicy(retries=Retries(attempts=2, first_seconds=10, jitter=0.9))
    pauses = [retry_at(policy, 1, FailureKind.TIMEOUT, f"run/{n}") or 0 for n in range(1_000)]
    early = sum(pause < 5.5 for pause in pauses)
    assert 400 < early < 600
    assert len(set(pauses)) == 1_000
