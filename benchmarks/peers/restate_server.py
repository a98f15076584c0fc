"""Restate's server, from its package for npm, and the service that it calls."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx2

from benchmarks.load import plugin
from benchmarks.load.installation import HOST, free_ports
from runtime import settings
from runtime.embedded import privileges
from runtime.embedded.child import Child

PACKAGE = "@restatedev/restate-server"
SERVICE = "benchmarks.peers.restate_service"
START_SECONDS_MAX = 60

SERVER_CONFIG = """\
node-name = "peer"
base-dir = "{folder}/data"
listen-mode = "tcp"
bind-address = "{host}:{ports.nodes}"
default-num-partitions = 1
disable-telemetry = true

[admin]
bind-address = "{host}:{ports.admin}"
disable-web-ui = true

[ingress]
bind-address = "{host}:{ports.ingress}"
"""
SERVICE_CONFIG = """\
bind = "{host}:{ports.service}"
workers = 1
worker_class = "uvloop"
h2_max_concurrent_streams = 2147483647
keep_alive_max_requests = 2147483647
keep_alive_timeout = 2147483647
"""
"""As its documentation recommends it, but for the event loop."""


class Ports(NamedTuple):
    nodes: int
    admin: int
    ingress: int
    service: int


class Part(Child):
    """A process that ends with this one. What it needs is in `folder`."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        super().__init__(name, folder / f"{name}.log")
        self._command = command
        self._folder = folder

    async def start(self) -> None:
        ourselves = privileges.Account("", os.geteuid(), os.getegid())
        await self._spawn(
            self._command,
            environ=settings.environment(PYTHONPATH=str(plugin.ROOT)),
            before=privileges.become(ourselves, None, signal.SIGTERM),
            folder=str(self._folder),
        )


def find() -> str | None:
    """Where the server is: on the path, or below this environment."""
    below = f"node_modules/{PACKAGE}-*/bin/restate-server"
    installed = map(str, sorted(Path(sys.prefix).glob(below)))
    return shutil.which("restate-server") or next(installed, None)


def version() -> str | None:
    """Its name and version, if it is installed and runs on this machine."""
    program = find()
    if program is None:
        return None
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return shown.stdout.strip()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[int]:
    """A server with an empty store in `folder`, and the service: the port that takes calls.

    Raises RuntimeError when they do not start.
    """
    program = find()
    assert program is not None
    ports = Ports(*free_ports(len(Ports._fields)))
    given = {"host": HOST, "folder": folder, "ports": ports}
    own = _write(folder / "server.toml", SERVER_CONFIG.format(**given))
    server = Part("server", (program, "--no-logo", "--config-file", own), folder)
    own = _write(folder / "service.toml", SERVICE_CONFIG.format(**given))
    hypercorn = (sys.executable, "-P", "-m", "hypercorn", "--config", own, f"{SERVICE}:app")
    service = Part("service", hypercorn, folder)
    try:
        await server.start()
        await service.start()
        await _register(ports, (server, service))
        yield ports.ingress
    finally:
        await server.stop()
        await service.stop()


def _write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


async def _register(ports: Ports, parts: Sequence[Part]) -> None:
    """Make the service known, and wait until a call reaches it."""
    service = {"uri": f"http://{HOST}:{ports.service}"}
    async with asyncio.timeout(START_SECONDS_MAX), httpx2.AsyncClient() as client:
        await _insist(client, f"http://{HOST}:{ports.admin}/deployments", service, parts)
        await _insist(client, f"http://{HOST}:{ports.ingress}/peer/chain", 1, parts)


async def _insist(
    client: httpx2.AsyncClient, url: str, body: object, parts: Sequence[Part]
) -> None:
    """Post it until it is taken."""
    while True:
        for part in parts:
            if not part.alive:
                raise RuntimeError(part.obituary())
        with suppress(httpx2.TransportError):
            if (await client.post(url, json=body)).is_success:
                return
        await asyncio.sleep(0.05)
