"""What the demo prints works when it is pasted."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import httpx2
import msgspec
import pytest

from runtime.settings import environment
from tests.support.cluster import SECONDS_MAX, Cluster
from tests.support.command import EMBEDDED, evergraph

JWT = "eyJ"


async def play(whole: Cluster) -> str:
    settings = whole.settings
    place = ("--port", str(settings.port), "--data-dir", str(settings.data_dir))
    played = await asyncio.to_thread(evergraph, "demo", *place)
    assert (played.returncode, played.stderr) == (0, "")
    return played.stdout


@pytest.mark.holds("S43")
async def test_its_run_can_be_looked_at_and_watched(tmp_path: Path) -> None:
    whole = Cluster(tmp_path, {})
    async with whole.running():
        told = await play(whole)
        assert JWT not in told
        token, curl, watch = re.findall(r"^  (TOKEN=.+|curl .+|\(echo .+)$", told, re.MULTILINE)
        run = msgspec.json.decode(await pasted(f"{token}\n{curl} --silent --fail", b"}\n"))
        assert run["status"] == "COMPLETED"
        assert run["id"] in told
        messages = await pasted(f"{token}\n{watch}", b'"execution_completed"')
        assert b'"subscription_confirmed"' in messages
        assert run["id"].encode() in messages
        async with httpx2.AsyncClient(trust_env=False) as browser:
            page = await browser.get(told.rpartition(" ")[2].strip())
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]


async def pasted(lines: str, end: bytes) -> bytes:
    """What a shell prints, up to its end or to that of these words."""
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-c", lines),
        env=environment(**EMBEDDED),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert shell.stdout is not None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await shell.stdout.readuntil(end)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
    finally:
        assert shell.stdin is not None
        shell.stdin.close()
        await shell.wait()
