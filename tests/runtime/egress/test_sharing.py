"""What one user sends does not hold up what another one sends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from domain.limits import egress_limits
from runtime.egress import Egress
from tests.runtime.egress.support import LOOPBACK, get_as
from tests.support.dns_server import dns_server
from tests.support.http_server import HttpServer, http_server, seen, stalled
from tests.support.processes import until

SILENT = [f"{number}.silent" for number in range(40)]


async def ended(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_backlog_of_one_user_delays_another_by_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(egress_limits, "CONNECTIONS_MAX", 1)
    egress = Egress([LOOPBACK])
    async with http_server({"/many": seen, "/single": seen}) as server:
        users = [*["many"] * 20, "single"]
        await asyncio.gather(*(get_as(user, egress, server.url(f"/{user}")) for user in users))
        assert [request.target for request in server.received].index("/single") == 1
    await egress.close()


async def test_a_user_whose_requests_are_not_answered_leaves_connections_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(egress_limits, "CONNECTIONS_MAX", 3)
    monkeypatch.setattr(egress_limits, "CONNECTIONS_PER_USER", 2)
    egress = Egress([LOOPBACK])
    async with http_server({"/many": lambda _: stalled(), "/single": seen}) as server:
        waiting = [
            asyncio.create_task(get_as("many", egress, server.url("/many"))) for _ in range(10)
        ]
        await until(lambda: len(server.received) == 2)
        assert (await get_as("single", egress, server.url("/single"))).status == 200
        assert [request.target for request in server.received] == ["/many", "/many", "/single"]
        await ended([*waiting])
    await egress.close()


async def test_names_whose_server_never_answers_hold_nobody_up(
    server: HttpServer, tmp_path: Path
) -> None:
    async with dns_server({"here.test": ["A 127.0.0.1"]}) as dns:
        egress = Egress([LOOPBACK], resolve=dns.names(tmp_path))
        waiting = [
            asyncio.create_task(get_as("many", egress, f"http://{name}/")) for name in SILENT
        ]
        asked = egress_limits.NAMES_ASKED_PER_USER
        await until(lambda: len({one.split()[0] for one in dns.asked}) == asked)
        answer = await get_as("single", egress, server.url("/", "here.test"))
        assert answer.status == 200
        assert len({one.split()[0] for one in dns.asked}) == asked + 1
        assert not any(task.done() for task in waiting)
        await ended([*waiting])
        await egress.close()


async def test_the_names_of_one_user_delay_another_by_one_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_limits, "NAMES_ASKED_MAX", 1)
    several = [f"{number}.test" for number in range(10)]
    async with dns_server({}) as dns:
        names = dns.names(tmp_path)
        await asyncio.gather(
            *(names(name, 80, "many") for name in several), names("single.test", 80, "single")
        )
        order = list(dict.fromkeys(one.split()[0] for one in dns.asked))
        assert order.index("single.test") == 1


async def test_a_name_that_many_wait_for_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_limits, "NAMES_ASKED_MAX", 1)
    async with dns_server({"a.test": ["A 10.0.0.1"]}) as dns:
        names = dns.names(tmp_path)
        await asyncio.gather(*(names("a.test", 80, f"user {number}") for number in range(5)))
        assert sorted(dns.asked) == ["a.test A", "a.test AAAA"]
