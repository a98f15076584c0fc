from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from domain.limits import process_limits
from domain.redaction import HIDDEN
from runtime.logs import HEADING, redact

PROGRAM = """
import logging, sys
from datetime import UTC, datetime
import structlog
from runtime import logs

logs.setup("probe", sys.argv[1])
log = structlog.get_logger()
log.debug("detail")
log.info("run.started", run="r1", at=datetime(2026, 1, 2, tzinfo=UTC), token="t0p")
logging.getLogger("other.package").warning("connecting to %s", "nats://t0p@127.0.0.1:4222")
logging.getLogger("other.package").debug("noise")
"""


def lines(level: str, **popen: Any) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], stderr=subprocess.PIPE, check=True, **popen
    )
    return [msgspec.json.decode(line) for line in done.stderr.splitlines()]


def test_every_line_is_json_with_its_process_level_and_time() -> None:
    ours, library = lines("info")
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "run.started",
        "process": "probe",
        "level": "info",
        "run": "r1",
        "at": "2026-01-02T00:00:00Z",
        "token": HIDDEN,
    }
    assert library.pop("timestamp").endswith("Z")
    assert library == {
        "event": f"connecting to nats://{HIDDEN}@127.0.0.1:4222",
        "process": "probe",
        "level": "warning",
        "logger": "other.package",
    }


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("warning", 1), ("error", 0)])
def test_the_level_is_a_threshold(level: str, count: int) -> None:
    assert len(lines(level)) == count


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "Authorization", "x-api-key", "client_secret", "password", "jwt_key"],
)
def test_secrets_are_hidden_by_their_names_at_any_depth(name: str) -> None:
    event = {"event": "seen", "request": {"headers": [{name: "s3cret"}]}}
    assert "s3cret" not in repr(redact(None, "info", event))


@pytest.mark.parametrize("name", ["tokens_used", "keyboard", "run", "authorized"])
def test_other_names_are_not(name: str) -> None:
    assert redact(None, "info", {name: "plain"}) == {name: "plain"}


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app:s3cret@db:5432/evergraph is down",
        "nats://s3cret@127.0.0.1:4222",
        "Authorization: Bearer s3cret.s3cret",
        "/ws/eyJhbGciOiJI.eyJzdWIiOiIx.s3cret/x",
        "/nowhere?a=1&access_token=s3cret&b=2",
        'WebSocket /?token=s3cret" 403',
    ],
)
def test_secrets_are_hidden_by_their_looks(text: str) -> None:
    assert "s3cret" not in repr(redact(None, "info", {"event": text}))


class Careless:
    def __repr__(self) -> str:
        return "Careless at nats://s3cret@127.0.0.1"


@pytest.mark.parametrize("value", [Careless(), [Careless()], {"a": {Careless()}}])
def test_secrets_are_hidden_in_what_objects_are_printed_as(value: object) -> None:
    assert "s3cret" not in repr(redact(None, "info", {"event": "x", "value": value}))


FLOOD = """
import logging, sys, threading
import structlog
from runtime import logs

logs.setup("probe", "info")
log = structlog.get_logger()
for n in range(int(sys.argv[1])):
    log.info("socket.closed", number=n)
    logging.getLogger("library").warning("number %s", n)
log.warning("other")
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
"""
COUNT = 5_000


@pytest.mark.holds("S36")
def test_what_is_said_again_and_again_is_counted() -> None:
    said = flood(FLOOD, str(COUNT))
    ours = [line for line in said if line["event"] == "socket.closed"]
    others = [line for line in said if line.get("logger") == "library"]
    left_out = [line for line in said if line["event"] == "log.left_out"]
    assert [line["number"] for line in ours[: process_limits.LOG_REPEATS_MAX]] == [*range(20)]
    assert [line["event"] for line in said].count("other") == 1
    for lines_of, what, level in (
        (ours, "socket.closed", "info"),
        (others, "library", "warning"),
    ):
        told = [line for line in left_out if line["what"] == what]
        assert {line["level"] for line in told} == {level}
        assert len(lines_of) + sum(line["count"] for line in told) == COUNT
        assert len(told) < len(lines_of) < COUNT


LONG = """
import sys
import structlog
from runtime import logs

logs.setup("probe", "info")
log = structlog.get_logger()
log.info("long", text="a" * 100_000 + "end")
log.info("many", texts=["b"] * 100_000)
log.info("\\0" * 100_000)
try:
    raise ValueError("c" * 100_000)
except ValueError:
    log.exception("failed")
"""


@pytest.mark.holds("S36")
def test_no_line_is_longer_than_its_bound() -> None:
    long, many, odd, failed = flood(LONG)
    assert long["text"].startswith("a" * 1_000)
    assert long["text"].endswith("end")
    assert (many["event"], set(many)) == ("many", {*HEADING, "left_out"})
    assert odd["event"] == "\\x00" * (process_limits.LOG_KIND_CHARS_MAX // 4)
    assert failed["exception"].startswith("Traceback")


def flood(program: str, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, check=True
    )
    said = done.stderr.splitlines()
    assert max(map(len, said)) <= process_limits.LOG_LINE_CHARS_MAX
    return [msgspec.json.decode(line) for line in said]
