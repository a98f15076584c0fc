"""A server outside whose answers are a burden to whoever reads them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.load.installation import HOST

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "
TEXT = b"a-" * 500_000
"""As long as an answer may be, but for its head."""
PIECES = 16_000
"""A few less than an answer may have."""
PARAMETERS = b'text/plain; a="'
ANSWERS: Mapping[str, bytes] = {
    "punycode": HEAD + b"text/plain; charset=punycode\r\n\r\n" + TEXT,
    "idna": HEAD + b"text/plain; charset=idna\r\n\r\n" + TEXT,
    "undefined": HEAD + b"text/plain; charset=undefined\r\n\r\n" + TEXT,
    "parameters": HEAD + PARAMETERS + b";" * 31_000 + b"\r\n\r\n" + TEXT,
    "headers": HEAD + PARAMETERS + b";" * 95_000 + b"\r\n\r\n" + TEXT,
    "pieces": HEAD
    + b"text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\na\r\n" * PIECES
    + b"0\r\n\r\n",
    "nothing": b"",
}
"""By the name in the path. A type with very many parameters is read in square time by the standard
library; the header in which it is may have 32 KiB. For nothing one asks again."""


@asynccontextmanager
async def served(done: Counter[str]) -> AsyncIterator[str]:
    """The address; `done` counts what was asked for."""
    async with await asyncio.start_server(partial(_answer, done), HOST, 0) as server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"


async def _answer(
    done: Counter[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split(b" ", 2)[1].decode().strip("/")
        done[f"{name} asked for"] += 1
        writer.write(ANSWERS[name])
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()
