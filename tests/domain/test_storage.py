from __future__ import annotations

import pytest

from domain import storage
from domain.errors import QuotaExceeded
from domain.storage import Quota, Storage

QUOTA = Quota(graphs=2, versions=3, bytes=100)


def store(before: Storage, version: int, size: int) -> Storage:
    (event,) = storage.store_version(before, QUOTA, graph_id="g", version=version, size=size)
    return storage.evolve(before, event)


def test_what_is_stored_adds_up() -> None:
    stored = store(store(store(storage.Storage(), 1, 10), 2, 20), 1, 30)
    (event,) = storage.store_inputs(stored, QUOTA, run_id="r", size=40)
    assert storage.evolve(stored, event) == Storage(graphs=2, bytes=100)


def test_a_user_has_so_many_graphs() -> None:
    full = store(store(storage.Storage(), 1, 1), 1, 1)
    with pytest.raises(QuotaExceeded, match="A user has at most 2 graphs"):
        store(full, 1, 1)
    assert store(full, 2, 1).graphs == 2


def test_a_graph_has_so_many_versions() -> None:
    assert store(storage.Storage(), 3, 1).bytes == 1
    with pytest.raises(QuotaExceeded, match="A graph has at most 3 versions"):
        store(storage.Storage(), 4, 1)


def test_a_user_stores_so_many_bytes() -> None:
    full = store(storage.Storage(), 1, 100)
    for refused in (
        lambda: store(full, 2, 1),
        lambda: storage.store_inputs(full, QUOTA, run_id="r", size=1),
    ):
        with pytest.raises(QuotaExceeded, match="A user may store 100 bytes; 1 more would make"):
            refused()


def test_a_storage_has_a_stream_of_its_own() -> None:
    assert storage.STORAGE.stream_of("ada") == "storage-ada"
