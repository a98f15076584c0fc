"""What browsers are told about every answer."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

import msgspec
import pytest
from litestar import Litestar

from api.app import create_app
from api.connections.refusals import REASONS
from domain.limits import connection_limits
from tests.support.api import Caller, Platform, api
from tests.support.routes import endpoints
from tests.support.wire import Wires, wires

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
}
SOMETHING = {
    "graph_id": "1",
    "graph_version": 1,
    "run_id": "1",
    "version": 1,
    "value_id": "1",
    "path": "x",
    "file_path": "swagger-ui.css",
}


@pytest.mark.parametrize("has_token", [True, False])
@pytest.mark.holds("S38")
async def test_every_answer_says_how_it_may_be_used(
    installation: Platform, user: Caller, has_token: bool
) -> None:
    for endpoint in endpoints(create_app(installation.settings)):
        headers = user.headers if has_token else {}
        response = await installation.http.request(
            endpoint.method, endpoint.url(SOMETHING), headers=headers
        )
        assert ALWAYS.items() <= dict(response.headers).items(), endpoint
        is_kept = endpoint.path.startswith("/schema-assets/")
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert policy.endswith("frame-ancestors 'none'")
        assert ("script-src" in policy) == endpoint.path.startswith("/schema"), endpoint
        assert response.headers.get("cache-control") == (None if is_kept else "no-store"), endpoint


async def test_options_are_all_methods_of_a_path(installation: Platform, user: Caller) -> None:
    methods = defaultdict(set)
    found = list(endpoints(create_app(installation.settings)))
    for endpoint in found:
        methods[endpoint.path].add(endpoint.method)
    for endpoint in found:
        if endpoint.method == "OPTIONS":
            response = await user.request("OPTIONS", endpoint.url(SOMETHING))
            assert response.headers["allow"] == ", ".join(sorted(methods[endpoint.path])), endpoint


SLOW = b"GET /api/v1/graphs HTTP/1.1\r\nHost: x\r\nAt-Least: 999999999\r\nAuthorization: "
TLS = "X-Forwarded-Proto: https\r\n"
GET = f"GET / HTTP/1.1\r\nHost: x\r\n{TLS}"
REFUSED = {
    400: f"GET / HTTP/1.1\r\n{TLS}\r\n",
    408: f"{GET}X: y",
    414: GET.replace("/", f"/{'x' * connection_limits.TARGET_BYTES_MAX}", 1) + "\r\n",
    431: GET + "X: y\r\n" * connection_limits.HEADERS_MAX + "\r\n",
    500: f"{GET}\r\n",
    503: f"{GET}\r\n",
}
"""What is refused so; with 500 what nobody answers, and with 503 where all places are taken."""
SOCKET = (
    "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{TLS}"
)
HANDSHAKES = [
    (400, f"GET /ws/x HTTP/1.1\r\n{SOCKET.replace('AAAA==', '')}\r\n"),
    (403, f"GET /nowhere HTTP/1.1\r\n{SOCKET}\r\n"),
    (426, f"GET /ws/x HTTP/1.1\r\nUpgrade: x\r\n{SOCKET}\r\n"),
    (431, f"GET /ws/x HTTP/1.1\r\n{SOCKET}X: {'x' * 10_000}\r\n\r\n"),
    (500, f"GET /ws/x HTTP/1.1\r\n{SOCKET}\r\n"),
]
"""Statuses, and what is answered so; with 500 what nobody answers."""


def assert_safe(headers: Mapping[str, str], *, is_tls: bool) -> None:
    """Of an answer that is data, and of nobody's."""
    assert ALWAYS.items() <= headers.items()
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers.get("strict-transport-security") == ("max-age=31536000" if is_tls else None)


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Litestar, "__call__", fail)


def test_each_refusal_is_tried() -> None:
    assert REFUSED.keys() == REASONS.keys()


@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.parametrize("status", [status for status in REFUSED if status not in {500, 503}])
@pytest.mark.holds("S38")
async def test_what_is_no_request_is_refused_as_safely(
    installation: Platform, monkeypatch: pytest.MonkeyPatch, status: int, is_tls: bool
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS_MAX", 0.3)
    async with wires(installation.http) as lines:
        await _refused(lines, status, is_tls=is_tls)


@pytest.mark.usefixtures("nobody_answers")
@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.holds("S38", "S39")
async def test_what_nobody_answers_is_answered_as_safely(
    installation: Platform, is_tls: bool
) -> None:
    async with wires(installation.http) as lines:
        await _refused(lines, 500, is_tls=is_tls)


@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.holds("S38")
async def test_who_has_no_place_is_refused_as_safely(
    installation: Platform, user: Caller, is_tls: bool
) -> None:
    settings = msgspec.structs.replace(installation.settings, connections=1)
    async with api(settings) as http, wires(http) as lines:
        await http.aclose()
        busy = await lines.connect()
        await busy.send(SLOW + user.headers["Authorization"].encode() + b"\r\n\r\n")
        await _refused(lines, 503, is_tls=is_tls)
        assert (await busy.answer()).status == 200


async def _refused(lines: Wires, status: int, *, is_tls: bool) -> None:
    request = REFUSED[status] if is_tls else REFUSED[status].replace(TLS, "")
    wire = await lines.connect()
    answer = await wire.ask(request.encode())
    assert (answer.status, answer.slug) == (status, REASONS[status][0])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert_safe(answer.headers, is_tls=is_tls)
    assert await wire.rest() == b""


@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.parametrize(("status", "handshake"), HANDSHAKES[:-1])
@pytest.mark.holds("S38")
async def test_a_handshake_is_refused_as_safely(
    installation: Platform, status: int, handshake: str, is_tls: bool
) -> None:
    await _handshake_refused(installation, status, handshake, is_tls=is_tls)


@pytest.mark.usefixtures("nobody_answers")
@pytest.mark.holds("S38")
async def test_a_handshake_that_nobody_answers_is_refused_as_safely(
    installation: Platform,
) -> None:
    await _handshake_refused(installation, *HANDSHAKES[-1], is_tls=True)


async def _handshake_refused(
    installation: Platform, status: int, handshake: str, *, is_tls: bool
) -> None:
    sent = handshake if is_tls else handshake.replace(TLS, "")
    async with wires(installation.http) as lines:
        answer = await (await lines.connect()).ask(sent.encode())
    assert answer.status == status
    # What could not be read has not said through what it came.
    assert_safe(answer.headers, is_tls=is_tls and status != 431)


async def test_who_may_ask_for_a_path_may_ask_how(installation: Platform) -> None:
    for endpoint in endpoints(create_app(installation.settings)):
        if endpoint.method == "OPTIONS":
            is_public = not endpoint.path.startswith("/api/")
            response = await installation.http.options(endpoint.url(SOMETHING))
            assert response.status_code == (204 if is_public else 401), endpoint


@pytest.mark.parametrize(("scheme", "promised"), [("https", "max-age=31536000"), ("http", None)])
@pytest.mark.holds("S38")
async def test_tls_is_promised_where_it_is(user: Caller, scheme: str, promised: str | None) -> None:
    response = await user.get("/api/v1/graphs", X_Forwarded_Proto=scheme)
    assert response.headers.get("strict-transport-security") == promised


async def test_the_page_of_the_documentation_needs_no_more_than_it_may(user: Caller) -> None:
    response = await user.get("/schema")
    assert not re.findall(r"""(?:src|href)=['"]https?://""", response.text)
    assert "eval(" not in response.text


@pytest.mark.holds("S38")
async def test_no_foreign_page_may_read_an_answer(user: Caller) -> None:
    response = await user.get("/api/v1/graphs", Origin="https://elsewhere.example")
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.holds("S39")
async def test_an_answer_does_not_name_its_server(user: Caller) -> None:
    assert "server" not in (await user.get("/api/v1/graphs")).headers
