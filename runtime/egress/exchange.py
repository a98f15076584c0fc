"""Requests and their redirects, over connections that are guarded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import httpcore2
import httpx2

from domain.http import HttpAnswer, HttpFailure, HttpRefused
from domain.limits import egress_limits
from runtime.egress.addresses import Gate
from runtime.egress.body import read_body
from runtime.egress.network import GuardedNetwork, Head, head, sender

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers about the connection, which is not the caller's. The wrong ones smuggle requests."""
CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "x-api-key"})
BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-language"})

TIMEOUTS = {
    "connect": egress_limits.CONNECT_SECONDS_MAX,
    "pool": egress_limits.CONNECT_SECONDS_MAX,
}


class Request(NamedTuple):
    method: str
    url: httpx2.URL
    headers: dict[str, str]
    """With lower-case names."""
    body: bytes | None

    def redirected(self, status: int, location: str) -> Request:
        """The request to make of `location`. Raises HttpRefused when that must not be."""
        url = _checked_url(location, self.url)
        method, headers, body = self.method, self.headers, self.body
        if _becomes_get(status, method):
            method, headers, body = "GET", _without(headers, BODY_HEADERS), None
        if (url.scheme, url.netloc) != (self.url.scheme, self.url.netloc):
            headers = _without(headers, CREDENTIAL_HEADERS)
        return Request(method, url, headers, body)


def _becomes_get(status: int, method: str) -> bool:
    if status == HTTPStatus.SEE_OTHER:
        return method != "HEAD"
    return method == "POST" and status in {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND}


class Exchange:
    """The connections, and what is said over them."""

    def __init__(self, gate: Gate) -> None:
        self._connections = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=egress_limits.CONNECTIONS_MAX,
            max_keepalive_connections=egress_limits.IDLE_CONNECTIONS_MAX,
            keepalive_expiry=egress_limits.IDLE_SECONDS_MAX,
            network_backend=GuardedNetwork(gate),
        )

    async def send(
        self, user_id: str, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> HttpAnswer:
        """See Egress.send."""
        sender.set(user_id)
        request = Request(_checked_method(method), _checked_url(url), _checked(headers), body)
        for _ in range(egress_limits.REDIRECTS_MAX + 1):
            answer = await self._answered(request)
            if not _leads_on(answer.status, answer.headers):
                return answer
            request = request.redirected(answer.status, answer.headers["location"])
        raise HttpFailure(f"There are more than {egress_limits.REDIRECTS_MAX} redirects")

    async def close(self) -> None:
        await self._connections.aclose()

    async def _answered(self, request: Request) -> HttpAnswer:
        url, beginning = request.url, Head()
        head.set(beginning)
        try:
            async with self._connections.stream(
                request.method,
                httpcore2.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=_encoded(request),
                content=b"" if _lacks_body(request) else request.body,
                extensions={"timeout": TIMEOUTS},
            ) as response:
                beginning.is_complete = True
                headers = _decoded(response.headers)
                if _leads_on(response.status, headers):
                    return HttpAnswer(response.status, headers, b"")
                body = await read_body(response.aiter_stream(), headers.get("content-encoding", ""))
                return HttpAnswer(response.status, headers, body)
        except httpcore2.TimeoutException:
            raise HttpFailure(f"{url.host} does not answer") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise HttpFailure(f"{url.host} cannot be talked to: {error}") from None


def _leads_on(status: int, headers: Mapping[str, str]) -> bool:
    return status in REDIRECTS and "location" in headers


def _lacks_body(request: Request) -> bool:
    """Some servers insist on a length even when there is nothing."""
    return request.body is None and request.method in METHODS_WITH_BODY


def _checked_method(method: str) -> str:
    if method not in METHODS:
        raise HttpRefused(f"The method {method!r} is not one of {', '.join(sorted(METHODS))}")
    return method


def _checked_url(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    try:
        url = httpx2.URL(text) if base is None else base.join(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise HttpRefused(f"This is no URL: {error}") from None
    if url.scheme not in {"http", "https"}:
        raise HttpRefused("The URL must begin with http:// or https://")
    if url.userinfo:
        raise HttpRefused("The URL must not hold a user name or password; use a header")
    if not url.host:
        raise HttpRefused("The URL names no host")
    if url.port is not None and not 0 < url.port < 2**16:
        raise HttpRefused("The URL names a port that cannot be")
    return url


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise HttpRefused(f"{name!r} is no name of a header")
        if not HEADER_VALUE.fullmatch(value):
            raise HttpRefused(f"The header {name} holds a line break or another control character")
        if name.lower() in OWN_HEADERS:
            raise HttpRefused(f"The header {name} cannot be set")
    return {name.lower(): value.strip(" \t") for name, value in headers.items()}


def _without(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def _encoded(request: Request) -> list[tuple[bytes, bytes]]:
    headers = {
        "host": request.url.netloc.decode("ascii"),
        "user-agent": "evergraph",
        "accept": "*/*",
        "accept-encoding": "gzip",
        **request.headers,
    }
    return [(name.encode("ascii"), value.encode()) for name, value in headers.items()]


def _decoded(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """With lower-case names; what is given more than once, joined by commas.

    Raises HttpFailure beyond HEADERS_BYTES_MAX.
    """
    if sum(len(name) + len(value) for name, value in headers) > egress_limits.HEADERS_BYTES_MAX:
        raise HttpFailure(
            f"The headers of the answer have more than {egress_limits.HEADERS_BYTES_MAX} bytes"
        )
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.decode("ascii").lower(), []).append(value.decode("latin-1"))
    return {name: ", ".join(parts) for name, parts in values.items()}
