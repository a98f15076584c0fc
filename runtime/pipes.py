"""Streams that somebody else may stop reading."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


def lead_nowhere(stream: TextIO) -> None:
    """Nobody reads the stream any more: what it still holds and what comes is dropped.

    Otherwise the interpreter fails at its end, when it writes what is left.
    """
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
