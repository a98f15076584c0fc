"""The eventsourcing library, as it is: its contract tests, and its recorders on our database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from eventsourcing import cryptography
from eventsourcing.postgres import PostgresDatastore

# The contract tests import the library's AES cipher over pycryptodome, which they do not use and
# we do not have. The library has the same cipher, by the same name, over cryptography.
sys.modules.setdefault("eventsourcing.cipher", cryptography)

from eventsourcing.tests import persistence as contract  # noqa: E402

__all__ = ["contract", "datastore"]


@contextmanager
def datastore(database_url: str) -> Iterator[PostgresDatastore]:
    """The library's connections to an Evergraph database."""
    parts = urlsplit(database_url)
    query = parse_qs(parts.query)
    store = PostgresDatastore(
        dbname=parts.path[1:],
        host=query["host"][0],
        port=query["port"][0],
        user=parts.username or "",
        password=parts.password or "",
        schema="log",
        originator_id_type="text",
        single_row_tracking=True,
        pool_size=4,
        max_overflow=16,
    )
    with store:
        yield store
