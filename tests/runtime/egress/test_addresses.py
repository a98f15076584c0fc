from __future__ import annotations

import ipaddress

import pytest

from runtime.egress.addresses import Gate
from tests.runtime.egress.support import Names


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"],
)
def test_public_addresses_are_let_through(address: str) -> None:
    assert Gate((), Names()).permits(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b:1::1.1.1.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "100::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
    ],
)
@pytest.mark.holds("S24")
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not Gate((), Names()).permits(ipaddress.ip_address(address))


def test_an_allowed_network_is_let_through_in_every_notation_of_its_addresses() -> None:
    gate = Gate((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")), Names())
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1"):
        assert gate.permits(ipaddress.ip_address(address))
    for address in ("192.168.0.1", "::1", "fe80::1", "64:ff9b::192.168.0.1"):
        assert not gate.permits(ipaddress.ip_address(address))
