from __future__ import annotations

import pytest

from api.connections.places import Place, Places
from domain.limits import connection_limits

ROOM = 3


class Guest:
    """Who has asked for something as often as is said, whenever it is looked for."""

    def __init__(self, asks: int = 0) -> None:
        self.asks = asks
        self.has_ended = False
        self.place: Place | None = None

    def settle(self) -> bool:
        self.asks -= 1
        if self.asks >= 0 and self.place is not None:
            self.place.wait()
        return self.asks >= 0

    def end(self) -> None:
        self.has_ended = True


def _come(places: Places, guest: Guest, host: str = "192.0.2.1") -> Place | None:
    guest.place = places.take(guest, host)
    if guest.place is not None:
        guest.place.wait()
    return guest.place


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_an_ipv6_address_is_as_wide_as_what_one_has(one: str, other: str, *, is_same: bool) -> None:
    places = Places(10, 1)
    first = Guest()
    _come(places, first, one)
    _come(places, Guest(), other)
    assert first.has_ended == is_same


def test_whoever_has_asked_meanwhile_waits_from_then_on() -> None:
    places = Places(ROOM, ROOM)
    guests = [Guest(asks=1), Guest(), Guest(asks=1)]
    for guest in guests:
        _come(places, guest)
    ended = []
    for _ in guests:
        _come(places, Guest())
        ended.append([guest.has_ended for guest in guests])
    assert ended == [[False, True, False], [True, True, False], [True, True, False]]


def test_places_are_free_again() -> None:
    places = Places(ROOM, ROOM)
    for _ in range(3 * ROOM):
        place = _come(places, Guest())
        assert place is not None
        assert not place.is_reserved
        place.leave()
        place.leave()


def test_the_reserve_has_an_end() -> None:
    places = Places(ROOM, ROOM)
    kept = [
        places.take(Guest(), "192.0.2.1")
        for _ in range(ROOM + connection_limits.HEALTH_CONNECTIONS_MAX)
    ]
    assert [place is not None and place.is_reserved for place in kept].count(True) == (
        connection_limits.HEALTH_CONNECTIONS_MAX
    )
    assert places.take(Guest(), "192.0.2.1") is None
