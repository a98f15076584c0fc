"""The world outside, for victims: a server that answers well, and names.

`NAME` is looked up as it should be; of a name that ends in `.silent` the DNS server says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import dns.message
import dns.rdatatype
import dns.rrset

from benchmarks.load.installation import HOST

NAME = "good.test"
SILENT = ".silent"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Outside(NamedTuple):
    service: str
    """The address of the server."""
    dns_port: int


class _Dns(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request = dns.message.from_wire(data)
        (question,) = request.question
        name = question.name.to_text(omit_final_dot=True)
        if name.endswith(SILENT):
            return
        answer = dns.message.make_response(request)
        if question.rdtype == dns.rdatatype.A:
            # To be believed for no time, so that it is asked for again.
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", HOST))
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """Both answer inside the block."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Dns, local_addr=(HOST, 0))
    try:
        async with await asyncio.start_server(_answer, HOST, 0) as server:
            yield Outside(
                service=f"http://{HOST}:{server.sockets[0].getsockname()[1]}",
                dns_port=transport.get_extra_info("sockname")[1],
            )
    finally:
        transport.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()
