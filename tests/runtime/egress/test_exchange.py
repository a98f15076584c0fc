from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from domain.http import HttpFailure, HttpRefused
from domain.limits import egress_limits
from runtime.egress import Egress
from tests.runtime.egress.support import LOOPBACK, Names, get
from tests.support.http_server import HttpServer, answer, endless, http_server, seen, stalled
from tests.support.processes import until


async def test_a_request_and_its_answer_arrive_whole(egress: Egress, server: HttpServer) -> None:
    given = await egress.of("somebody").send(
        "PUT", server.url("/"), headers={"X-Own": "gr\u00fcn"}, body=b'{"a": 1}'
    )
    assert (given.status, given.body) == (200, b"seen")
    assert given.headers["x-method"] == "PUT"
    (request,) = server.received
    assert request.body == b'{"a": 1}'
    assert request.headers["x-own"].encode("latin-1").decode() == "gr\u00fcn"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


async def test_a_post_without_body_says_so(egress: Egress, server: HttpServer) -> None:
    await egress.of("somebody").send("POST", server.url("/"), headers={}, body=None)
    assert server.received[0].headers["content-length"] == "0"


async def test_connections_are_kept_for_the_next_request(
    egress: Egress, server: HttpServer
) -> None:
    for _ in range(3):
        await get(egress, server.url("/"))
    assert server.connections == 1
    await egress.close()
    await get(egress, server.url("/"))
    assert server.connections == 2


async def test_the_environment_names_no_proxy(
    egress: Egress, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await get(egress, server.url("/"))).status == 200


async def test_the_next_address_is_tried_when_one_does_not_answer(server: HttpServer) -> None:
    async with http_server({}) as gone:
        closed_port = gone.port
    both = [("127.0.0.1", closed_port), ("127.0.0.1", server.port)]
    egress = Egress([LOOPBACK], resolve=Names(both=[both]))
    assert (await get(egress, "http://both.test/")).status == 200
    await egress.close()


async def test_a_server_that_is_not_there_is_a_failure(egress: Egress) -> None:
    async with http_server({}) as gone:
        url = gone.url("/")
    with pytest.raises(HttpFailure, match="cannot be talked to"):
        await get(egress, url)


@pytest.mark.holds("S27")
async def test_a_body_without_end_is_cut_off(egress: Egress) -> None:
    async with http_server({"/": lambda _: endless()}) as server:
        with pytest.raises(HttpFailure, match="more than"):
            await get(egress, server.url("/"))


async def test_a_body_of_just_the_right_size_arrives(egress: Egress) -> None:
    body = b"x" * egress_limits.RESPONSE_BYTES_MAX
    async with http_server({"/": lambda _: answer(200, body)}) as server:
        assert (await get(egress, server.url("/"))).body == body


@pytest.mark.parametrize("headers", [{"A": "x" * 40_000}, {f"A{n}": "x" for n in range(9_000)}])
@pytest.mark.holds("S27")
async def test_more_headers_than_anybody_means_are_a_failure(
    egress: Egress, headers: dict[str, str]
) -> None:
    async with http_server({"/": lambda _: answer(200, b"", **headers)}) as server:
        with pytest.raises(HttpFailure, match="headers of the answer have more than"):
            await get(egress, server.url("/"))


@pytest.mark.holds("S27")
async def test_a_body_in_very_many_pieces_is_cut_off(egress: Egress) -> None:
    def in_pieces(count: int) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head + b"1\r\nx\r\n" * count + b"0\r\n\r\n"

    handlers = {
        "/most": lambda _: in_pieces(egress_limits.PIECES_MAX),
        "/more": lambda _: in_pieces(egress_limits.PIECES_MAX + 1),
    }
    async with http_server(handlers) as server:
        most = await get(egress, server.url("/most"))
        assert len(most.body) == egress_limits.PIECES_MAX
        with pytest.raises(HttpFailure, match="comes in more than"):
            await get(egress, server.url("/more"))


@pytest.mark.holds("S27")
async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    egress = Egress([LOOPBACK], seconds=0.2)
    async with http_server({"/": lambda _: stalled()}) as server:
        with pytest.raises(HttpFailure, match=r"within 0\.2 s"):
            await get(egress, server.url("/"))
    await egress.close()


async def test_a_cancelled_request_leaves_the_client_usable(egress: Egress) -> None:
    async with http_server({"/": lambda _: stalled(), "/ok": seen}) as server:
        task = asyncio.create_task(get(egress, server.url("/")))
        await until(lambda: server.received)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await get(egress, server.url("/ok"))).status == 200


@pytest.mark.parametrize(
    ("sent", "read"), [(gzip.compress(b"hello" * 1000), b"hello" * 1000), (b"", b"")]
)
async def test_a_compressed_body_is_decompressed(egress: Egress, sent: bytes, read: bytes) -> None:
    packed = answer(200, sent, Content_Encoding="GZip")
    async with http_server({"/": lambda _: packed}) as server:
        assert (await get(egress, server.url("/"))).body == read
        assert server.received[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (gzip.compress(bytes(64 * 1024 * 1024)), "gzip", "more than"),
        (gzip.compress(b"hello")[:-4], "gzip", "length is wrong"),
        (gzip.compress(b"hello") + b"more", "gzip", "length is wrong"),
        (b"hello", "gzip", "cannot be decompressed"),
        (gzip.compress(gzip.compress(b"hello")), "gzip, gzip", "not asked for"),
        (b"hello", "br", "not asked for"),
    ],
)
@pytest.mark.holds("S21")
async def test_a_wrongly_compressed_body_is_a_failure(
    egress: Egress, body: bytes, encoding: str, message: str
) -> None:
    packed = answer(200, body, Content_Encoding=encoding)
    async with http_server({"/": lambda _: packed}) as server:
        with pytest.raises(HttpFailure, match=message):
            await get(egress, server.url("/"))


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, b"\x16\x03\x01"],
)
@pytest.mark.holds("S27")
async def test_a_server_that_speaks_something_else_is_a_failure(
    egress: Egress, nonsense: bytes
) -> None:
    async def said() -> AsyncIterator[bytes]:
        yield nonsense

    async with http_server({"/": lambda _: said()}) as server:
        with pytest.raises(HttpFailure, match="cannot be talked to"):
            await get(egress, server.url("/"))


async def interim(count: int) -> AsyncIterator[bytes]:
    """So many answers that are none yet, and then one."""
    for _ in range(count):
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100
    yield answer(200, b"done")


async def test_interim_answers_are_passed_over(egress: Egress, server: HttpServer) -> None:
    server.handlers = {"/": lambda _: interim(3)}
    assert (await get(egress, server.url("/"))).body == b"done"


async def test_a_server_that_says_for_ever_that_it_will_answer_is_given_up(
    egress: Egress, server: HttpServer
) -> None:
    server.handlers = {"/": lambda _: interim(10_000)}
    with pytest.raises(HttpFailure, match="no answer within the first"):
        async with asyncio.timeout(10):
            await get(egress, server.url("/"))


async def test_a_body_is_made_when_its_turn_has_come_and_may_be_too_large(
    egress: Egress, server: HttpServer
) -> None:
    most = egress_limits.REQUEST_BYTES_MAX
    server.handlers = {"/": lambda _: answer(200)}
    user = egress.of("somebody")
    await user.send("POST", server.url("/"), headers={}, body=lambda: b"x" * most)
    assert len(server.received[0].body) == most
    with pytest.raises(HttpRefused, match="The body of the request has more than"):
        await user.send("POST", server.url("/"), headers={}, body=b"x" * (most + 1))
    assert len(server.received) == 1
