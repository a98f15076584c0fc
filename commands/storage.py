"""Storage: how much a user has stored."""

from __future__ import annotations

from collections.abc import Sequence

from commands.streams import Loaded, Streams
from domain import storage
from domain.events import Event
from domain.storage import Storage


async def load(streams: Streams, user_id: str) -> Loaded[Storage]:
    """The stream of the user's storage, folded."""
    return await streams.load(storage.stream_of(user_id), storage.EMPTY, storage.evolve)


def after(stored: Loaded[Storage], storing: Sequence[Event]) -> Loaded[Storage]:
    """What the stream becomes by these events."""
    state = stored.state
    for event in storing:
        state = storage.evolve(state, event)
    return Loaded(stream=stored.stream, state=state, version=stored.version + len(storing))
