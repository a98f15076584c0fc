"""Who may be connected. Where all places are taken, whoever has waited longest without asking for
anything gives way; where all are at work, there is still room to ask for the health.
"""

from __future__ import annotations

import ipaddress
from typing import Protocol
from weakref import WeakValueDictionary

from api.connections.trouble import Trouble
from domain.limits import connection_limits


class Guest(Protocol):
    """Whose place it is."""

    def settle(self) -> bool:
        """Say `wait` or `work` to one's place. Whether anything had changed."""

    def end(self) -> None:
        """Close the connection at once."""


class Room:
    """So many may be in it at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self.waiting: dict[Place, None] = {}
        """Those who have nothing under way, the longest first; guests tell with a delay."""

    @property
    def is_full(self) -> bool:
        return self.count >= self.most

    def end_longest(self) -> bool:
        """Whether somebody could give way."""
        while (longest := next(iter(self.waiting), None)) is not None:
            if not longest.guest.settle():
                longest.leave()
                longest.guest.end()
                return True
        return False


class Place:
    """One guest's, in all the rooms that count it."""

    def __init__(self, guest: Guest, *rooms: Room, is_reserved: bool = False) -> None:
        self.guest = guest
        self._rooms = rooms
        self.is_reserved = is_reserved
        """Beyond the bounds, for a question about the health."""
        for room in rooms:
            room.count += 1

    def wait(self) -> None:
        """Nothing is under way, from now on."""
        for room in self._rooms:
            room.waiting.pop(self, None)
            room.waiting[self] = None

    def work(self) -> None:
        for room in self._rooms:
            room.waiting.pop(self, None)

    def leave(self) -> None:
        """Also a second time."""
        self.work()
        for room in self._rooms:
            room.count -= 1
        self._rooms = ()


class Places:
    """All those of one API process."""

    def __init__(self, connections: int, per_address: int) -> None:
        self._all = Room(connections)
        self._per_address = per_address
        self._reserve = Room(connection_limits.HEALTH_CONNECTIONS_MAX)
        # A room is there for as long as a place is in it.
        self._addresses: WeakValueDictionary[str, Room] = WeakValueDictionary()
        self._crowd = Trouble("connections.crowded", "connections.not_crowded")
        self._shortage = Trouble("descriptors.short", "descriptors.enough")

    def take(self, guest: Guest, host: str) -> Place | None:
        """A place for one who comes from `host`, if there is any."""
        address = _network(host)
        room = self._addresses.get(address)
        if room is None:
            room = self._addresses[address] = Room(self._per_address)
        if room.is_full or self._all.is_full:
            self._crowd.meet(address=address, of_address=room.count, connections=self._all.count)
        if self._has_place(room):
            return Place(guest, self._all, room)
        if not self._reserve.is_full or self._reserve.end_longest():
            return Place(guest, self._reserve, is_reserved=True)
        return None

    def give_up_one(self) -> bool:
        """Whether somebody could give way where there is no descriptor left."""
        self._shortage.meet()
        return self._all.end_longest()

    def look(self) -> None:
        """Due now and then."""
        self._crowd.look()
        self._shortage.look()

    def _has_place(self, room: Room) -> bool:
        if room.is_full:
            return room.end_longest()
        return not self._all.is_full or self._all.end_longest()


def _network(host: str) -> str:
    """What counts as one address: of IPv6, whoever has one has 2**64."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
