"""A DNS server on a loopback address that says exactly what a test wants, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from runtime.egress.names import Names

DATAGRAM_BYTES = 512
"""What everybody takes, who does not say more."""


class DnsServer(asyncio.DatagramProtocol):
    """`zone` has the records by name, such as `{"a.test": ["A 10.0.0.1"]}`.

    Names below `silent` and questions for a kind in `deaf_to` get no answer; a name without records
    is said not to exist.
    """

    def __init__(self, zone: Mapping[str, Iterable[str]], seconds: int) -> None:
        self.zone = dict(zone)
        self.deaf_to: set[str] = set()
        self.asked: list[str] = []
        """Such as "a.test AAAA"."""
        self.seconds = seconds
        self.port = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request = dns.message.from_wire(data)
        (question,) = request.question
        name = question.name.to_text(omit_final_dot=True)
        asked_kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {asked_kind}")
        if name.endswith(".silent") or asked_kind in self.deaf_to:
            return
        answer = dns.message.make_response(request)
        self._answer(answer, name, asked_kind)
        size = max(DATAGRAM_BYTES, request.payload)
        self._transport.sendto(answer.to_wire(max_size=size, prefer_truncation=True), addr)

    def _answer(self, answer: dns.message.Message, name: str, asked_kind: str) -> None:
        if name not in self.zone:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        for record in self.zone.get(name, ()):
            kind, _, value = record.partition(" ")
            if kind in {asked_kind, "CNAME"}:
                answer.answer.append(
                    dns.rrset.from_text(f"{name}.", self.seconds, "IN", kind, value)
                )
            if kind == "CNAME":
                self._answer(answer, value.rstrip("."), asked_kind)

    def names(self, folder: Path) -> Names:
        """A look-up that asks this server, by the files `hosts` and `resolv.conf` of `folder`."""
        resolv_conf = folder / "resolv.conf"
        if not resolv_conf.exists():
            resolv_conf.write_text("nameserver 127.0.0.1\n")
        return Names(folder / "hosts", resolv_conf, self.port)


@asynccontextmanager
async def dns_server(
    zone: Mapping[str, Iterable[str]], seconds: int = 60
) -> AsyncIterator[DnsServer]:
    """`seconds` is for how long its answers may be believed."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: DnsServer(zone, seconds), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
