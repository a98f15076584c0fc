"""Between domain events and stored rows, in the eventsourcing library's terms."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import msgspec
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from domain import events
from domain.errors import Invalid
from domain.events import Event

_encoder = msgspec.json.Encoder()
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class RecordedEvent(msgspec.Struct, frozen=True):
    """A domain event at its place: what the library calls a domain event."""

    originator_id: str
    originator_version: int
    event: Event


def encode(event: Event) -> bytes:
    """The JSON bytes of an event.

    Raises Invalid for text that PostgreSQL cannot show (NUL) or that is not Unicode.
    """
    try:
        state = _encoder.encode(event)
    except (UnicodeEncodeError, OverflowError) as error:
        raise Invalid(f"a value cannot be stored: {error}") from None
    if b"\\u0000" in state and _NUL.search(state):
        raise Invalid("a text contains the character NUL, which cannot be stored")
    return state


class Encoded(msgspec.Struct, frozen=True):
    """An event as the log will hold it."""

    topic: str
    state: bytes


def to_encoded(event: Event) -> Encoded:
    """Encode an event for the log. Raises Invalid as `encode` does."""
    return Encoded(topic=topic_of(type(event)), state=encode(event))


class MsgspecMapper(Mapper[str]):
    """The library's mapper over the closed registry: JSON by msgspec, upcasting included.

    A cipher or compressor given to it is applied to the JSON bytes, as the library does; that is
    where the encryption of personal data belongs.
    """

    def __init__(self, transcoder: Any = None, compressor: Any = None, cipher: Any = None) -> None:
        super().__init__(transcoder or JSONTranscoder(), compressor, cipher)

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Store a RecordedEvent. Raises Invalid as `encode` does."""
        state = encode(domain_event.event)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=topic_of(cast("type[Event]", type(domain_event.event))),
            state=state,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Read a RecordedEvent. Raises UnknownEventType."""
        state = stored_event.state
        if self.cipher:
            state = self.cipher.decrypt(state)
        if self.compressor:
            state = self.compressor.decompress(state)
        return RecordedEvent(
            originator_id=str(stored_event.originator_id),
            originator_version=stored_event.originator_version,
            event=events.decode(stored_event.topic, state),
        )


@lru_cache(maxsize=1_024)
def topic_of(event_class: type[Event]) -> str:
    return events.topic_of(event_class)
