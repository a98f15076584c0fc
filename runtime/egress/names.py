"""What addresses a name has: by the hosts file, and by the DNS servers of the system.

The system's own resolver takes a thread for as long as a server keeps it waiting, and everybody
shares those few threads. Here a name whose server never answers costs two sockets.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import dns.asyncquery
import dns.exception
import dns.resolver
from dns.asyncresolver import Resolver
from dns.message import Message, QueryMessage
from dns.nameserver import Do53Nameserver

from domain.limits import egress_limits
from runtime import clock
from runtime.cache import BoundedCache
from runtime.egress.addresses import NameNotResolved
from runtime.fair_queue import FairQueue

T = TypeVar("T")

HOSTS = Path("/etc/hosts")
RESOLV_CONF = Path("/etc/resolv.conf")
DNS_HOST = "127.0.0.1"
DNS_PORT = 53
NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)


class Known(NamedTuple):
    addresses: tuple[str, ...]
    """None for a name that has none."""
    until: float
    """By the monotonic clock."""


class Names:
    """A `Resolve`, see addresses.py; the files are read anew when they have changed."""

    def __init__(
        self, hosts: Path = HOSTS, resolv_conf: Path = RESOLV_CONF, port: int = DNS_PORT
    ) -> None:
        self._hosts = _Read(hosts, _hosts_in)
        self._servers = _Read(resolv_conf, lambda path: _servers_in(path, port))
        self._known: BoundedCache[str, Known] = BoundedCache(egress_limits.NAMES_KNOWN_MAX)
        self._queue = FairQueue(egress_limits.NAMES_ASKED_MAX, egress_limits.NAMES_ASKED_PER_USER)

    async def __call__(self, host: str, port: int, user_id: str) -> Sequence[tuple[str, int]]:
        """Raises NameNotResolved after NAME_SECONDS_MAX, and UnicodeError."""
        numeric = _numeric(host, port)
        if numeric or not NAME.fullmatch(host):
            return numeric
        name = host.lower()
        addresses = self._hosts.content().get(name.rstrip(".")) or await self._asked(name, user_id)
        return [(address, port) for address in addresses]

    async def _asked(self, name: str, user_id: str) -> tuple[str, ...]:
        known = self._remembered(name)
        if known is None:
            async with self._queue.place(user_id):
                # Somebody may have asked while we waited.
                known = self._remembered(name) or await _asked(self._servers.content(), name)
                self._known.put(name, known)
        return known.addresses

    def _remembered(self, name: str) -> Known | None:
        known = self._known.get(name)
        return known if known is not None and clock.monotonic() < known.until else None


class _Read(Generic[T]):
    """What is in a file at present."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._content: tuple[tuple[int, int, int] | None, T] | None = None

    def content(self) -> T:
        try:
            stat = self._path.stat()
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            state = None
        if self._content is None or self._content[0] != state:
            self._content = (state, self._read(self._path))
        return self._content[1]


class _Records(NamedTuple):
    addresses: tuple[str, ...] = ()
    seconds: float = egress_limits.NAME_KNOWN_SECONDS_MAX
    """For how long to believe it."""


async def _asked(servers: Resolver, name: str) -> Known:
    """What the servers say. Raises NameNotResolved for no addresses when one does not answer."""
    asked_at = clock.monotonic()
    answers = await asyncio.gather(*(_records(servers, name, kind) for kind in ("A", "AAAA")))
    given = [records for records in answers if records is not None]
    addresses = tuple(address for records in given for address in records.addresses)
    if len(given) == len(answers):
        return Known(addresses, asked_at + min(records.seconds for records in given))
    if not addresses:
        raise NameNotResolved(name)
    return Known(addresses, asked_at)


async def _records(servers: Resolver, name: str, kind: str) -> _Records | None:
    """None: no server answers."""
    try:
        answer = await servers.resolve(name, kind, raise_on_no_answer=False, search=True)
    except dns.resolver.NXDOMAIN:
        return _Records()
    except dns.exception.DNSException:
        return None
    if answer.rrset is None:
        return _Records()
    addresses = tuple(record.address for record in answer.rrset)
    return _Records(addresses, min(answer.rrset.ttl, egress_limits.NAME_KNOWN_SECONDS_MAX))


class _Server(Do53Nameserver):
    """Asked by datagrams alone. What an answer has no room for there is left out: anybody may own a
    name with thousands of addresses, which would cost all others time.
    """

    async def async_query(
        self,
        request: QueryMessage,
        timeout: float,  # noqa: ASYNC109 - the library's signature
        *_: Any,
        **__: Any,
    ) -> Message:
        return await dns.asyncquery.udp(
            request,
            self.address,
            timeout=timeout,
            port=self.port,
            ignore_errors=True,
            ignore_unexpected=True,
        )


def _servers_in(resolv_conf: Path, port: int) -> Resolver:
    servers = Resolver(configure=False)
    try:
        servers.read_resolv_conf(str(resolv_conf))
    except (dns.exception.DNSException, ValueError):
        servers.nameservers = [DNS_HOST]  # as the C library does
    servers.nameservers = [_Server(str(address), port) for address in servers.nameservers]
    servers.use_edns(0, 0, egress_limits.NAME_ANSWER_BYTES_MAX)
    servers.lifetime = egress_limits.NAME_SECONDS_MAX
    return servers


def _hosts_in(path: Path) -> dict[str, list[str]]:
    """The addresses by name."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if _is_address(address):
            for name in names:
                found.setdefault(name.lower().rstrip("."), []).append(address)
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _numeric(host: str, port: int) -> list[tuple[str, int]]:
    """The address that `host` spells, in any of the ways that there are; asks nobody."""
    try:
        answers = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return []
    return [(str(address[0]), int(address[1])) for *_, address in answers]
