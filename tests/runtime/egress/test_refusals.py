from __future__ import annotations

import ipaddress

import pytest

from domain.http import HttpFailure, HttpRefused
from runtime.egress import Egress
from tests.runtime.egress.support import LOOPBACK, Names, get
from tests.support.http_server import HttpServer


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[::127.0.0.1]",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
        "\uff11\uff12\uff17.0.0.1",
        "%31%32%37.0.0.1",
        "user@127.0.0.1",
        "user:password@127.0.0.1",
        "example.com@127.0.0.1",
        "127.0.0.1\\@example.com",
        "127.0.0.1#@example.com",
        "127.0.0.1 ",
        "127.0.0.1\t",
        "127.0.0.1\r\nX-More: 1",
    ],
)
@pytest.mark.holds("S24")
async def test_no_spelling_of_this_machine_gets_through(
    strict: Egress, server: HttpServer, host: str
) -> None:
    for url in (server.url("/", host), f"http://{host}/"):
        with pytest.raises(HttpFailure):
            await get(strict, url)
    assert server.connections == 0


@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]", "[fe80::1%1]", "[::]"])
@pytest.mark.holds("S24")
async def test_no_ipv6_spelling_of_this_machine_gets_through(egress: Egress, host: str) -> None:
    with pytest.raises(HttpRefused):
        await get(egress, f"http://{host}/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "localhost"])
async def test_such_spellings_do_name_this_machine(server: HttpServer, host: str) -> None:
    open_to_both = Egress([LOOPBACK, ipaddress.ip_network("::1")])
    assert (await get(open_to_both, server.url("/", host))).status == 200
    await open_to_both.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "//127.0.0.1/",
        "example.com",
        "http://",
        "http:///",
        "http:127.0.0.1",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1:6379/_INFO",
        "unix:/run/docker.sock",
        "http+unix://%2Frun%2Fdocker.sock/",
        "data:text/plain,hello",
        "javascript:alert(1)",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:port/",
        "http://[::1/",
        "http://" + "a" * 70_000,
        "http://exa\ud800mple.com/",
    ],
)
@pytest.mark.holds("S24")
async def test_what_is_not_a_url_of_the_web_is_refused(strict: Egress, url: str) -> None:
    with pytest.raises(HttpRefused):
        await get(strict, url)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
async def test_a_name_without_address_is_a_failure(strict: Egress, host: str) -> None:
    with pytest.raises(HttpRefused, match="is not known"):
        await get(strict, f"http://{host}/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-B: 2"),
        ("X-A", "1\nX-B: 2"),
        ("X-A", "1\0"),
        ("X-A", "\ud800"),
        ("X-A: 1\r\nX-B", "2"),
        ("X A", "1"),
        ("", "1"),
        ("H\u00e9", "1"),
        ("Host", "127.0.0.1"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
    ],
)
async def test_headers_cannot_change_the_request_around_them(
    egress: Egress, server: HttpServer, name: str, value: str
) -> None:
    with pytest.raises(HttpRefused):
        await egress.of("somebody").send("GET", server.url("/"), headers={name: value}, body=None)
    assert server.connections == 0


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GET / HTTP/1.1\r\nX: 1\r\n\r\nGET"])
async def test_only_methods_of_the_web_are_sent(
    egress: Egress, server: HttpServer, method: str
) -> None:
    with pytest.raises(HttpRefused):
        await egress.of("somebody").send(method, server.url("/"), headers={}, body=None)
    assert server.connections == 0


@pytest.mark.holds("S25")
async def test_what_was_judged_is_what_is_connected_to(server: HttpServer) -> None:
    names = Names(rebinding=[[("127.0.0.1", server.port)], [("10.0.0.1", server.port)]])
    egress = Egress([LOOPBACK], resolve=names)
    assert (await get(egress, "http://rebinding.test/")).status == 200
    assert names.asked == ["rebinding.test"]
    assert server.received[0].headers["host"] == "rebinding.test"
    await egress.close()
    with pytest.raises(HttpRefused):
        await get(egress, "http://rebinding.test/")
    await egress.close()


@pytest.mark.holds("S25")
async def test_one_private_address_among_public_ones_refuses_the_name(server: HttpServer) -> None:
    mixed = [("127.0.0.1", server.port), ("1.1.1.1", 80), ("192.168.0.1", 80)]
    egress = Egress([LOOPBACK], resolve=Names(mixed=[mixed]))
    with pytest.raises(HttpRefused):
        await get(egress, "http://mixed.test/")
    await egress.close()
    assert server.connections == 0
