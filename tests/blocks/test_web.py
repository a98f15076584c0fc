from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from blocks.contract import BlockFailure, BlockUnavailable, Http
from blocks.web import SendWebRequest
from domain.limits import egress_limits
from domain.policies import FailureKind, retry_at
from runtime.egress import Egress
from tests.blocks.support import outputs_of
from tests.support.http_server import answer, http_server, seen

NO_CHARSETS = ("punycode", "idna", "undefined", "unicode_escape", "utf-7", "rot13", "hex")
"""Codecs of Python that raise, are slow, or say something else than the bytes."""
LONG = f'application/json; a="{";" * egress_limits.CONTENT_TYPE_CHARS_MAX}"'


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    egress = Egress([ipaddress.ip_network("127.0.0.0/8")])
    yield egress.of("somebody")
    await egress.close()


@pytest.mark.parametrize(
    ("status", "output"),
    [
        (200, "response"),
        (204, "response"),
        (304, "server_error"),
        (404, "client_error"),
        (429, "client_error"),
        (500, "server_error"),
    ],
)
async def test_the_status_chooses_the_output(http: Http, status: int, output: str) -> None:
    async with http_server({"/": lambda _: answer(status)}) as server:
        data = {"url": server.url("/"), "method": "GET"}
        assert await outputs_of(SendWebRequest(), data, http) == [(output, "")]


@pytest.mark.parametrize(
    ("kind", "body", "content"),
    [
        ("application/json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/problem+json; charset=utf-8", b'{"title": "no"}', {"title": "no"}),
        ("application/json", b"<html>", "<html>"),
        ("application/json", b"[" * 5000, "[" * 5000),
        ("text/plain", b"[1]", "[1]"),
        ("text/plain; charset=latin-1", b"gr\xfcn", "gr\u00fcn"),
        ("text/plain; charset=nonsense", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("image/png", b"\x89PNG", "\ufffdPNG"),
        ('text/plain; q=1; CharSet="Shift_JIS"', "\u6771\u4eac".encode("cp932"), "\u6771\u4eac"),
        ("text/plain; charset=gb2312", "\u4e2d\u6587".encode("gbk"), "\u4e2d\u6587"),
        ("text/plain; charset=windows-1252", b"\x80\x81", "\u20ac\ufffd"),
        *((f"text/plain; charset={name}", b"ab-c\xff", "ab-c\ufffd") for name in NO_CHARSETS),
        (LONG, b"[1]", "[1]"),
        (f"{LONG}; charset=latin-1", "gr\u00fcn".encode(), "gr\u00fcn"),
    ],
)
@pytest.mark.holds("S27")
async def test_json_is_read_and_everything_else_is_text(
    http: Http, kind: str, body: bytes, content: Any
) -> None:
    async with http_server({"/": lambda _: answer(200, body, Content_Type=kind)}) as server:
        outputs = await outputs_of(SendWebRequest(), {"url": server.url("/")}, http)
        assert outputs == [("response", content)]


async def test_the_body_goes_as_json_or_as_a_form(http: Http) -> None:
    body = {"a": "x y", "b": [1, True], "c": {"d": None}}
    async with http_server({"/": seen}) as server:
        for json_format in (True, False):
            data = {"url": server.url("/"), "body": body, "json_format": json_format}
            await outputs_of(SendWebRequest(), data, http)
        as_json, as_form = server.received
    assert as_json.headers["content-type"] == "application/json"
    assert msgspec.json.decode(as_json.body) == body
    assert as_form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert as_form.body == b"a=x+y&b=1&b=true&c=%7B%22d%22%3Anull%7D"


async def test_the_key_of_the_node_execution_is_sent_whatever_the_caller_says(http: Http) -> None:
    async with http_server({"/": seen}) as server:
        data = {
            "url": server.url("/"),
            "method": "DELETE",
            "headers": {"Idempotency-Key": "mine", "Content-Type": "text/x"},
        }
        await outputs_of(SendWebRequest(), data, http)
        (request,) = server.received
    assert request.method == "DELETE"
    assert request.headers["idempotency-key"] == "run/node"
    assert request.headers["content-type"] == "text/x"


async def test_what_may_not_be_reached_fails_the_block(http: Http) -> None:
    with pytest.raises(BlockFailure, match="not at a public address") as raised:
        await outputs_of(SendWebRequest(), {"url": "http://169.254.169.254/latest"}, http)
    assert raised.value.kind is FailureKind.FAILURE


async def test_what_does_not_answer_may_do_so_later(http: Http) -> None:
    async with http_server({}) as server:
        url = server.url("/")
    with pytest.raises(BlockUnavailable, match="cannot be talked to") as raised:
        await outputs_of(SendWebRequest(), {"url": url}, http)
    assert raised.value.kind is FailureKind.UNAVAILABLE


def test_a_request_is_sent_again_only_while_nobody_answers() -> None:
    policy = SendWebRequest.policy
    assert retry_at(policy, 1, FailureKind.UNAVAILABLE, "key") is not None
    assert retry_at(policy, 2, FailureKind.UNAVAILABLE, "key") is not None
    assert retry_at(policy, 3, FailureKind.UNAVAILABLE, "key") is None
    assert retry_at(policy, 1, FailureKind.FAILURE, "key") is None
    assert retry_at(policy, 1, FailureKind.CRASH, "key") is None
