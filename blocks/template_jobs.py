"""What goes to a process that renders templates, and what comes back: frames of JSON.

A frame is its length in bytes as four bytes, big end first, and then the JSON.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import msgspec

LENGTH_BYTES = 4


class Job(msgspec.Struct, frozen=True):
    source: str
    values: dict[str, Any]
    escape_html: bool


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The text, or why there is none."""

    text: str = ""
    failure: str | None = None


def framed(message: Job | Answer) -> bytes:
    content = msgspec.json.encode(message)
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def read_frame(stream: BinaryIO) -> bytes:
    """The content of the next frame; empty when the other side has gone."""
    length = stream.read(LENGTH_BYTES)
    return stream.read(int.from_bytes(length, "big"))
