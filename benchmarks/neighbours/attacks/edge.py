"""Attacks on the edge: with connections, with requests without a token, and with sockets."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Origin

from benchmarks.load.installation import HOST
from benchmarks.neighbours.attacks.attack import Attack
from benchmarks.neighbours.nuisance import Nuisance, over_and_over

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 8)]
"""None of them is the victim's: an address has a bound of its own."""
SILENT_PER_ADDRESS = 600
PARTIAL = 150
DESCRIPTORS = 8_192
HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
CANARY = "eyJhbGciOiJub25lIn0.canary.x"
PATHS = (
    "/api/v1/graphs",
    f"/ws?token={CANARY}",
    f"/nowhere/{'x' * 200}?token={CANARY}",
    "/schema-assets/" + "x" * 255,
    "/schema-assets/" + "x" * 256,
    "/api/v1/graphs/x/executions/y?as_of=9999999999999999999",
)
FLOODERS = 20
BODY_BYTES = 4_000_000
BODIES = 300
SOCKETS = 50
PINGS = 1_000
PING = b"\x89\x80\x00\x00\x00\x00"
JSON_PING = b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"ping"}'
TOO_MUCH = 4429

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def held_connections(user: Nuisance) -> None:
    """Connections without a request, with a part of a head, and with a part of a body: more than
    the API takes.
    """
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )

    async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        user.done["silent connections"] += 1
        await reader.read()
        user.done["connections ended"] += 1

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user.done["parts of requests"] += 1
        while not reader.at_eof():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(1)

    async def trickle_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"X-Slow: ")
        await trickle(reader, writer)

    async def trickle_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_post(user.token, 4_000_000))
        await trickle(reader, writer)

    sources = cycle(ADDRESSES)
    parts: Sequence[Act] = [trickle_head, trickle_body] * PARTIAL
    silent: Sequence[Act] = [be_silent] * SILENT_PER_ADDRESS * len(ADDRESSES)
    await asyncio.gather(*(_again(user.port, act, next(sources)) for act in (*parts, *silent)))


async def huge_heads(user: Nuisance) -> None:
    """A hundred thousand headers, and one of five megabytes."""
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(100_000))
    large = b"X: " + b"x" * 5_000_000

    async def send(what: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + what)
        if (await reader.readline()).startswith(b"HTTP/1.1 431"):
            user.done["heads refused"] += 1

    acts = [partial(send, what) for what in (many, large) * 4]
    await asyncio.gather(*(_again(user.port, act, ADDRESSES[0], pause=0.05) for act in acts))


async def strangers(user: Nuisance) -> None:
    """Floods of requests without a token, of which each could be a line of the log."""
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in PATHS]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request in cycle(requests):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            user.done[f"answered {head[9:12].decode()}"] += 1
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)

    await asyncio.gather(*(_again(user.port, ask, ADDRESSES[0]) for _ in range(FLOODERS)))


async def held_bodies(user: Nuisance) -> None:
    """Requests with bodies as large as they may be, but for their last byte."""
    body = _post(user.token, BODY_BYTES) + b" " * (BODY_BYTES - 1)

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(body)
        await writer.drain()
        user.done["bodies held"] += 1
        await reader.read()
        user.done["bodies given up"] += 1

    await asyncio.gather(*(_again(user.port, hold, ADDRESSES[0]) for _ in range(BODIES)))


async def broken_off_requests(user: Nuisance) -> None:
    """Clients that leave in the middle of their bodies, and of the answers."""
    half = _post(user.token, 3_000_000) + b"[" * 1_500_000
    bundle = b"GET /schema-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"

    async def leave_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(half)
        await writer.drain()
        writer.transport.abort()
        user.done["bodies broken off"] += 1

    async def leave_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bundle)
        await reader.readexactly(1_000)
        writer.transport.abort()
        user.done["answers broken off"] += 1

    acts = [leave_body, leave_answer] * (FLOODERS // 2)
    await asyncio.gather(*(_again(user.port, act, ADDRESSES[0], pause=0.05) for act in acts))


async def flooded_sockets(user: Nuisance) -> None:
    """As many sockets as one may have, half with messages and half with pings, as fast as they go;
    the answers are not read.
    """
    url = f"ws://{HOST}:{user.port}/ws/{user.user_id}?token={user.token}"

    async def flood(frames: bytes) -> None:
        try:
            async with connect(url, proxy=None, local_addr=(ADDRESSES[0], 0)) as socket:
                user.done["sockets opened"] += 1
                while not socket.transport.is_closing():
                    socket.transport.write(frames)
                    await asyncio.sleep(0.01)
                with suppress(ConnectionClosed):
                    await socket.recv()
                user.done["floods ended"] += socket.close_code in {TOO_MUCH, 1006}
        except (OSError, WebSocketException):
            user.done["sockets lost"] += 1

    floods = [PING * PINGS, JSON_PING * PINGS] * (SOCKETS // 2)
    await asyncio.gather(*(over_and_over(partial(flood, frames)) for frames in floods))


async def refused_sockets(user: Nuisance) -> None:
    """Sockets with a token that is none, with one on a path that is none, and of other pages."""
    sockets = [
        (f"/ws/{user.user_id}?token={CANARY}", None),
        (f"/ws?token={user.token}", None),
        (f"/ws/{user.user_id}?token={user.token}", Origin("https://elsewhere.example")),
    ]

    async def be_refused(path: str, origin: Origin | None) -> None:
        url = f"ws://{HOST}:{user.port}{path}"
        try:
            async with connect(
                url, proxy=None, origin=origin, local_addr=(ADDRESSES[0], 0)
            ) as socket:
                await socket.recv()
        except (OSError, WebSocketException):
            user.done["sockets refused"] += 1

    acts = [partial(be_refused, *socket) for socket in sockets * 5]
    await asyncio.gather(*(over_and_over(act, pause_seconds=0.01) for act in acts))


async def _again(port: int, act: Act, source: str, pause: float = 0.5) -> None:
    """Do it on a new connection, again and again."""

    async def once() -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
            try:
                await act(reader, writer)
            finally:
                writer.close()

    await over_and_over(once, pause)


def _post(token: str, length: int) -> bytes:
    return (
        f"POST /api/v1/graphs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


EDGE = (
    Attack(held_connections, {"silent connections": 2_000, "parts of requests": 2 * PARTIAL}),
    Attack(huge_heads, {"heads refused": 8}),
    Attack(strangers, {"answered 401": 100, "answered 404": 100}),
    Attack(held_bodies, {"bodies held": BODIES}),
    Attack(broken_off_requests, {"bodies broken off": 20, "answers broken off": 20}),
    Attack(flooded_sockets, {"sockets opened": SOCKETS, "floods ended": SOCKETS}),
    Attack(refused_sockets, {"sockets refused": 50}),
)
