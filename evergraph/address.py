"""Where people and programs find a running installation."""

from __future__ import annotations

import socket

import msgspec

from runtime.embedded.nats import nats_url
from runtime.embedded.postgres import database_url
from runtime.settings import Settings

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound


def near_host(settings: Settings) -> str:
    """The host under which this machine reaches an API that listens on the settings' host."""
    return EVERYWHERE.get(settings.host, settings.host)


def base_url(settings: Settings) -> str:
    """The API's URL without a path, such as `http://127.0.0.1:8006`."""
    host = near_host(settings)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def refusal(settings: Settings) -> OSError | None:
    """Why nobody can listen where the API should."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        return error
    return None


def complete(settings: Settings) -> Settings:
    """The settings with the embedded database's URL where none was given.

    NATS is looked up before each connection instead, since it may move while we run. Raises
    StartError when either has never run.
    """
    nats_url(settings)
    return msgspec.structs.replace(settings, database_url=database_url(settings))
