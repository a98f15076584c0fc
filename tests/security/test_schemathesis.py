"""What the OpenAPI document allows, and what it does not, as schemathesis makes it up: no answer is
a server's error, and each is one that the document knows.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from blocks.reviews import HumanInTheLoop
from runtime.embedded.postgres import PostgresServer
from tests.conftest import SEED_OPTION
from tests.support.api import Platform, answered, platform
from tests.support.graphs import Document, agent_input, agent_output, graph, node

SECONDS_MAX = 60
EXAMPLES_MAX = 25
"""For each operation, in each turn: the turns go on until the time is over."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
"""Not that whatever fits the document is accepted: what a graph must be like, or which of two
members excludes the other, is said by a 400 and not by a schema."""

CONFIG = """
headers = {{ Authorization = "{authorization}" }}

[dictionaries]
graphs = {{ values = ["{graph_id}"] }}
runs = {{ values = ["{ended}", "{asking}"] }}
versions = {{ values = [1] }}
values = {{ values = ["{value}"] }}

[parameters]
"path.graph_id" = {{ dictionary = "graphs", probability = 0.8 }}
"path.run_id" = {{ dictionary = "runs", probability = 0.8 }}
"path.version" = {{ dictionary = "versions", probability = 0.8 }}
"path.value_id" = {{ dictionary = "values", probability = 0.8 }}
"path.graph_version" = {{ dictionary = "versions", probability = 0.8 }}
"header.At-Least" = "0"
"""
"""Mostly what there is, or nearly every answer would be that it is not there. No list is asked to
wait for what nobody will write."""


def asks() -> Document:
    """Asks a person about its one input."""
    return graph(
        agent_input("x", value=1),
        node("ask", HumanInTheLoop, name="The number"),
        agent_output("y"),
        links="""
            x.result > ask.data
            ask.approved_data > y.value
        """,
    )


async def config(served: Platform) -> str:
    """Somebody's token, and what of theirs can be asked for: two runs, of which one has ended."""
    user = await served.user()
    saved = await user.save(asks())
    ended, asking = [await user.start(saved) for _ in range(2)]
    for run_id in (ended, asking):
        await user.until(saved, run_id, lambda run: run.status == "REVIEW")
    await user.command(saved, ended, "stop")
    (value,) = await served.log.values.put(str(user.user_id), [b'"large"'])
    return CONFIG.format(
        authorization=user.headers["Authorization"],
        graph_id=saved.graph_id,
        ended=ended,
        asking=asking,
        value=value,
    )


async def schemathesis(served: Platform, folder: Path, seed: int) -> tuple[int | None, str]:
    """Its exit code, and all that it has to say, which tells the seed too."""
    chosen = folder / "schemathesis.toml"
    chosen.write_text(await config(served), encoding="utf-8")
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(chosen), "run", f"{served.http.base_url}/schema/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing,stateful"),
        *("--seed", str(seed), "--max-time", str(SECONDS_MAX)),
        *("--max-examples", str(EXAMPLES_MAX), "--generation-database", "none", "--no-color"),
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT)
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.timeout(3 * SECONDS_MAX)
@pytest.mark.holds("S15", "S18")
async def test_no_request_is_answered_otherwise_than_documented(
    postgres: PostgresServer,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In an installation of its own, as it leaves runs behind that nobody ends."""
    seed = int(pytestconfig.getoption(SEED_OPTION))
    with capsys.disabled():
        print(f"\nschemathesis: {SEED_OPTION} {seed}")
    async with platform(postgres, tmp_path / "data") as served:
        document = answered(await served.http.get("/schema/openapi.json"))
        with capture_logs() as logged:
            code, said = await schemathesis(served, tmp_path, seed)
    print(said)
    assert code == 0
    assert f"Tested: {sum(map(len, document['paths'].values()))}\n" in said
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
