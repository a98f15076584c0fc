"""URLs of the databases in the server that all tests share."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def in_database(url: str, name: str) -> str:
    """The same server and user, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
