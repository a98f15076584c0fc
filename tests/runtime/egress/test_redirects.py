from __future__ import annotations

import pytest

from domain.http import HttpFailure, HttpRefused
from domain.limits import egress_limits
from runtime.egress import Egress
from tests.runtime.egress.support import LOOPBACK, Names, get
from tests.support.http_server import http_server, seen, to


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/", "//0/"]
)
@pytest.mark.holds("S25")
async def test_a_redirect_to_a_private_address_is_refused(egress: Egress, location: str) -> None:
    async with http_server({"/": lambda _: to(location)}) as server:
        with pytest.raises(HttpRefused, match="not at a public address"):
            await get(egress, server.url("/"))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://a/", "http://u:p@a/", "x:"])
@pytest.mark.holds("S25")
async def test_a_redirect_out_of_the_web_is_refused(egress: Egress, location: str) -> None:
    async with http_server({"/": lambda _: to(location)}) as server:
        with pytest.raises(HttpRefused):
            await get(egress, server.url("/"))


@pytest.mark.holds("S25", "S27")
async def test_redirects_end(egress: Egress) -> None:
    async with http_server({"/": lambda _: to("/")}) as server:
        with pytest.raises(HttpFailure, match="redirects"):
            await get(egress, server.url("/"))
        assert len(server.received) == egress_limits.REDIRECTS_MAX + 1


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (302, "PUT", "PUT"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ],
)
async def test_a_redirect_keeps_or_changes_the_method(
    egress: Egress, status: int, method: str, then: str
) -> None:
    handlers = {"/a": lambda _: to("b", status), "/b": seen}
    async with http_server(handlers) as server:
        body = None if method == "HEAD" else b"{}"
        await egress.of("somebody").send(
            method, server.url("/a"), headers={"Content-Type": "x/y"}, body=body
        )
        last = server.received[-1]
        assert (last.target, last.method) == ("/b", then)
        assert last.body == (b"{}" if then == method != "HEAD" else b"")
        assert ("content-type" in last.headers) == (then == method)


async def test_credentials_stay_with_their_host() -> None:
    handlers = {
        "/": lambda _: to("/same"),
        "/same": lambda _: to("http://other.test/end"),
        "/end": seen,
    }
    async with http_server(handlers) as server:
        here = [[("127.0.0.1", server.port)]]
        egress = Egress([LOOPBACK], resolve=Names(first=here, other=here))
        secrets = {"Authorization": "Bearer s", "Cookie": "s=1", "X-Api-Key": "s"}
        await get(egress, "http://first.test/", **secrets, Accept="text/plain")
        await egress.close()
        _, same, other = (request.headers for request in server.received)
    assert same.keys() >= {"authorization", "cookie", "x-api-key"}
    assert not other.keys() & {"authorization", "cookie", "x-api-key"}
    assert other["accept"] == "text/plain"
