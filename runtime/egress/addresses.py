"""Which addresses may be connected to."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from domain.http import HttpFailure, HttpRefused

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

Resolve: TypeAlias = Callable[[str, int, str], Awaitable[Sequence[tuple[str, int]]]]
"""The addresses and ports behind a name and a port, for the user with the id that is given last.

Raises OSError or UnicodeError for none.
"""


class NameNotResolved(OSError):
    """No server says in time whether there is such a name."""


GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Protocol assignments, relays, tunnels and documentation. Python's `is_global` knows some of
# them, and which ones depends on its version.
SPECIAL = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("3fff::/20"),
)


class Gate(NamedTuple):
    """Lets through to public addresses and to those in the networks of `allow`."""

    allow: tuple[IpNetwork, ...]
    resolve: Resolve

    async def addresses(self, host: str, port: int, user_id: str) -> list[tuple[str, int]]:
        """The addresses to connect to for `host`, none of them to be resolved again.

        Raises HttpRefused when any of them is not allowed: a name with a public and a private
        address has no honest use. The same where there are none, or anybody could ask which names
        mean something in here. Raises HttpFailure when no name server answers.
        """
        try:
            found = await self.resolve(host, port, user_id)
        except NameNotResolved:
            raise HttpFailure(f"No name server answers for the host {host}") from None
        except (OSError, UnicodeError):
            found = ()
        permitted = [self.permits(ipaddress.ip_address(address)) for address, _ in found]
        if not permitted or not all(permitted):
            raise HttpRefused(f"The host {host} is not known, or not at a public address")
        return list(found)

    def permits(self, address: IpAddress) -> bool:
        target = _translated(address)
        return _is_public(target) or any(target in network for network in self.allow)


def _translated(address: IpAddress) -> IpAddress:
    """Where packets to `address` end up: some IPv6 addresses stand for one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in GLOBAL_UNICAST_V6:
        return False
    special = any(address in network for network in SPECIAL)
    return address.is_global and not address.is_multicast and not special
