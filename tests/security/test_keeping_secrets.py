"""What nobody should learn, be it from our files, from an error, or from a node that failed."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import msgspec
import pytest

from blocks.web import SendWebRequest
from evergraph.up import REGISTER
from runtime import ids
from runtime.aggregates.repository import Repository
from runtime.embedded.postgres import PostgresServer
from tests.security.test_log_secrets import logs_with
from tests.support.api import Caller, answered, platform
from tests.support.cluster import Cluster
from tests.support.graphs import agent_output, echo, graph, node
from tests.support.http_server import answer, http_server

OTHERS = 0o007
"""The group of a file is that of our own processes where they need it, and has no other members."""
HARMLESS = {"up.log", REGISTER}
"""What the test has our output written to, and the ids of our processes."""


@pytest.mark.holds("S40")
async def test_nobody_else_on_the_machine_reads_our_files(tmp_path: Path) -> None:
    """The logs are readable, in a folder that nobody else can enter."""
    async with Cluster(tmp_path, {}).running():
        open_to_others = [
            path
            for folder, _, names in os.walk(tmp_path)
            for path in (Path(folder, name) for name in names)
            if path.is_file() and path.stat().st_mode & OTHERS
        ]
    apart = {path.name for path in open_to_others if path.parent != tmp_path / "logs"}
    assert apart == HARMLESS
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


@pytest.mark.holds("S39")
async def test_an_error_of_ours_says_nothing_of_its_cause(
    user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("postgresql://evergraph:hunter2@db/evergraph")

    monkeypatch.setattr(Repository, "load", fail)
    response = await user.get("/api/v1/credits")
    assert answered(response, 500)["message"] == "Something went wrong inside Evergraph."
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert ".py" not in response.text


@pytest.mark.holds("S43")
async def test_what_a_node_keeps_secret_is_in_no_log_and_no_export(
    postgres: PostgresServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A header that a request is sent with, where that is answered, refused and not answered."""
    secret = ids.new_secret()
    async with (
        platform(postgres, tmp_path) as served,
        http_server({"/ok": lambda _: answer(200), "/no": lambda _: answer(500)}) as server,
    ):
        user = await served.user()
        urls = [server.url("/ok"), server.url("/no"), "http://127.0.0.1:1/", "http://10.0.0.1/"]
        for url in urls:
            sent = {"Authorization": f"Bearer {secret}", "X-Api-Key": secret}
            asking = node("ask", SendWebRequest, url=f"{url}", headers=sent)
            saved = await user.save(
                graph(asking, agent_output("y"), links="ask.response > y.value")
            )
            ended = await user.ended(saved, await user.start(saved))
            (execution,) = ended.executions["ask"]
            assert secret not in str(execution["output_data"]), url
            exported = await user.get(f"{saved.path}?for_export=true")
            assert secret not in exported.text
        assert any(secret in request.headers["authorization"] for request in server.received)
    written = capfd.readouterr()
    assert secret not in written.out + written.err
    assert not list(logs_with(tmp_path, secret))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip"])
@pytest.mark.holds("S21")
async def test_a_packed_body_is_not_unpacked(user: Caller, coding: str) -> None:
    packed = gzip.compress(msgspec.json.encode({"graph": echo()}))
    refused = await user.post("/api/v1/graphs", packed, Content_Encoding=coding)
    assert answered(refused, 400)["message"]
