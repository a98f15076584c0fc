"""Where the API listens, or could, and what it says of itself."""

from __future__ import annotations

import errno
from contextlib import suppress

import msgspec
import psutil

from api.health.endpoint import Health
from evergraph import address, health
from evergraph.doctor.finding import Finding, error, ok, warning
from runtime.settings import Settings


async def examine(settings: Settings, *, is_up: bool) -> Finding:
    """`is_up` is whether `evergraph up` runs in the data folder."""
    part = f"port {settings.port}"
    refusal = address.refusal(settings)
    if refusal is None:
        return _free(part, settings, is_up=is_up)
    if refusal.errno != errno.EADDRINUSE:
        text = f"nobody can listen on {settings.host}: {refusal.strerror}"
        return error(part, text, "Choose another host (EVERGRAPH_HOST) or port (--port).")
    said = await _health(settings)
    holder = _holder(settings.port)
    if said is None:
        text = f"taken by {holder}, which does not answer as Evergraph's API does"
        return error(part, text, "End that, or choose another port with --port.")
    if settings.database_url is None and not is_up:
        text = f"taken by {holder}, the API of another installation"
        return error(part, text, "End that, or choose another port with --port.")
    return _answers(part, holder, said)


def _free(part: str, settings: Settings, *, is_up: bool) -> Finding:
    if is_up:
        log = settings.data_dir / "logs" / "api.log"
        text = "free, although `evergraph up` runs"
        return error(part, text, f"Give the port of `up` with --port, or look into {log}.")
    return ok(part, "free")


def _answers(part: str, holder: str, said: Health) -> Finding:
    text = f"the API answers ({holder}) and is {said.status}"
    reasons = " ".join(reason.message for reason in said.reasons)
    match said.status:
        case "healthy":
            return ok(part, text)
        case "degraded":
            return warning(part, f"{text}. {reasons}", "Commands are taken. See the other lines.")
        case _:
            return error(part, f"{text}. {reasons}", "Commands are refused. See the other lines.")


async def _health(settings: Settings) -> Health | None:
    """What the API says of itself; None if whoever answers there is no API of ours."""
    answer = await health.ask(address.near_host(settings), settings.port, "/health")
    _, _, body = answer.partition(b"\r\n\r\n")
    try:
        return msgspec.json.decode(body, type=Health)
    except msgspec.DecodeError:
        return None


def _holder(port: int) -> str:
    """Who listens there: never with its arguments, which may hold secrets."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                if connection.pid is None:
                    break
                return f"{psutil.Process(connection.pid).name()}, pid {connection.pid}"
    return "a process of another user"
