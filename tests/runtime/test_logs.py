from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from runtime.logs import HIDDEN, redact

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
