from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from domain.http import HttpFailure, HttpRefused
from domain.limits import egress_limits
from runtime.egress import Egress
from runtime.egress.addresses import NameNotResolved
from tests.runtime.egress.support import LOOPBACK, get
from tests.support.dns_server import dns_server
from tests.support.http_server import HttpServer


async def test_a_name_whose_server_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_limits, "NAME_SECONDS_MAX", 0.2)
    async with dns_server({}) as dns:
        egress = Egress([LOOPBACK], resolve=dns.names(tmp_path))
        for _ in range(2):
            dns.asked.clear()
            with pytest.raises(HttpFailure, match="No name server answers"):
                await get(egress, "http://0.silent/")
            assert dns.asked, "what nobody said is not remembered"
        await egress.close()


async def test_a_server_that_answers_one_kind_of_address_only_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_limits, "NAME_SECONDS_MAX", 0.2)
    async with dns_server({"a.test": ["A 10.0.0.1"]}) as dns:
        names = dns.names(tmp_path)
        dns.deaf_to.add("AAAA")
        assert await names("a.test", 80, "somebody") == [("10.0.0.1", 80)]
        with pytest.raises(NameNotResolved):
            await names("b.test", 80, "somebody")


async def test_an_answer_is_remembered_for_a_while(tmp_path: Path) -> None:
    async with dns_server({"a.test": ["A 10.0.0.1", "AAAA fd00::1"]}) as dns:
        names = dns.names(tmp_path)
        for name in ("a.test", "A.test"):
            assert await names(name, 443, "somebody") == [("10.0.0.1", 443), ("fd00::1", 443)]
        assert sorted(dns.asked) == ["a.test A", "a.test AAAA"]


async def test_that_there_is_no_such_name_is_remembered_for_a_while(tmp_path: Path) -> None:
    async with dns_server({}) as dns:
        egress = Egress(resolve=dns.names(tmp_path))
        for _ in range(2):
            with pytest.raises(HttpRefused, match="is not known"):
                await get(egress, "http://no.test/")
        await egress.close()
        assert sorted(dns.asked) == ["no.test A", "no.test AAAA"]


async def test_an_answer_is_remembered_no_longer_than_its_server_allows(tmp_path: Path) -> None:
    async with dns_server({"a.test": ["A 10.0.0.1"]}, seconds=0) as dns:
        names = dns.names(tmp_path)
        await names("a.test", 80, "somebody")
        dns.zone["a.test"] = ["A 10.0.0.2"]
        assert await names("a.test", 80, "somebody") == [("10.0.0.2", 80)]


async def test_few_answers_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_limits, "NAMES_KNOWN_MAX", 2)
    async with dns_server({}) as dns:
        names = dns.names(tmp_path)
        for name in ("a.test", "b.test", "c.test", "a.test"):
            await names(name, 80, "somebody")
        assert dns.asked.count("a.test A") == 2


async def test_the_hosts_file_comes_first_and_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    async with dns_server({"a.test": ["A 10.0.0.9"]}) as dns:
        names = dns.names(tmp_path)
        hosts = tmp_path / "hosts"
        hosts.write_text("# 10.0.0.3 a.test\n10.0.0.1 A.test b.test # c.test\nfd00::1\ta.test\n")
        assert await names("a.test.", 80, "somebody") == [("10.0.0.1", 80), ("fd00::1", 80)]
        assert dns.asked == []
        hosts.unlink()
        assert await names("a.test", 80, "somebody") == [("10.0.0.9", 80)]


async def test_servers_and_search_list_are_read_anew_when_they_change(tmp_path: Path) -> None:
    async with dns_server({"a.one.test": ["A 10.0.0.1"], "b.two.test": ["A 10.0.0.2"]}) as dns:
        names = dns.names(tmp_path)
        resolv_conf = tmp_path / "resolv.conf"
        resolv_conf.write_text("search one.test\nnameserver 127.0.0.1\n")
        assert await names("a", 80, "somebody") == [("10.0.0.1", 80)]
        resolv_conf.write_text("search another.test two.test\nnameserver 127.0.0.1\n")
        assert await names("b", 80, "somebody") == [("10.0.0.2", 80)]
        resolv_conf.unlink()
        assert await names("b.two.test", 80, "somebody") == [("10.0.0.2", 80)]


@pytest.mark.parametrize(
    "host", ["a b.test", "a\\.test", "@", "a..test", "", "a" * 64, "gr\u00fcn"]
)
async def test_what_is_no_name_is_asked_of_nobody(tmp_path: Path, host: str) -> None:
    async with dns_server({}) as dns:
        with suppress(UnicodeError):
            assert await dns.names(tmp_path)(host, 80, "somebody") == []
        assert dns.asked == []


@pytest.mark.parametrize(
    "records",
    [
        ["A 10.0.0.1"],
        ["A 1.1.1.1", "A 169.254.169.254"],
        ["A 1.1.1.1", "AAAA ::1"],
        ["AAAA ::ffff:127.0.0.1"],
        ["CNAME localhost."],
    ],
)
@pytest.mark.holds("S25")
async def test_a_name_that_leads_to_a_private_address_is_refused(
    tmp_path: Path, records: list[str]
) -> None:
    async with dns_server({"a.test": records, "localhost": ["A 127.0.0.1"]}) as dns:
        egress = Egress(resolve=dns.names(tmp_path))
        for _ in range(2):  # also when it is remembered
            with pytest.raises(HttpRefused, match="not at a public address"):
                await get(egress, "http://a.test/")
        await egress.close()


@pytest.mark.holds("S25")
async def test_names_of_private_networks_are_as_unknown_as_those_that_are_not_there(
    tmp_path: Path,
) -> None:
    async with dns_server({"there.test": ["A 10.0.0.1"]}) as dns:
        egress, told = Egress(resolve=dns.names(tmp_path)), set()
        for host in ("there.test", "nowhere.test"):
            with pytest.raises(HttpRefused) as refused:
                await get(egress, f"http://{host}/")
            told.add(str(refused.value).replace(host, "it"))
        await egress.close()
    assert len(told) == 1


@pytest.mark.holds("S25")
async def test_a_name_that_changes_to_a_private_address_is_refused(
    server: HttpServer, tmp_path: Path
) -> None:
    async with dns_server({"a.test": ["A 127.0.0.1"]}, seconds=0) as dns:
        egress = Egress([LOOPBACK], resolve=dns.names(tmp_path))
        assert (await get(egress, server.url("/", "a.test"))).status == 200
        dns.zone["a.test"] = ["A 10.0.0.1"]
        await egress.close()
        with pytest.raises(HttpRefused):
            await get(egress, server.url("/", "a.test"))
        await egress.close()


async def test_of_a_name_with_thousands_of_addresses_a_few_are_enough(tmp_path: Path) -> None:
    """Its owner decides how many there are, and everybody pays for reading them."""
    records = [f"A 10.1.{n // 250}.{n % 250}" for n in range(4_000)]
    async with dns_server({"many.test": records}) as dns:
        found = await dns.names(tmp_path)("many.test", 80, "somebody")
        assert 16 < len(found) < 100
        assert len(dns.asked) == 2
