"""Reading a body without believing anything that its sender says about its size."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterable

from domain.http import HttpFailure
from domain.limits import egress_limits

GZIP = 16 + zlib.MAX_WBITS


async def read_body(chunks: AsyncIterable[bytes], encoding: str) -> bytes:
    """The decompressed body.

    Raises HttpFailure beyond RESPONSE_BYTES_MAX at any stage, or PIECES_MAX chunks.
    """
    raw = bytearray()
    pieces = 0
    async for chunk in chunks:
        raw += chunk
        _check_size(raw)
        pieces += 1
        if pieces > egress_limits.PIECES_MAX:
            raise HttpFailure(f"The answer comes in more than {egress_limits.PIECES_MAX} pieces")
        if pieces % egress_limits.PIECES_PORTION == 0:
            await asyncio.sleep(0)
    match encoding.strip().lower():
        case "" | "identity":
            return bytes(raw)
        case "gzip" | "x-gzip":
            return _decompressed(bytes(raw))
        case _:
            raise HttpFailure(f"The answer has an encoding that was not asked for: {encoding}")


def _decompressed(raw: bytes) -> bytes:
    if not raw:
        return raw
    stream = zlib.decompressobj(GZIP)
    try:
        content = stream.decompress(raw, egress_limits.RESPONSE_BYTES_MAX + 1)
    except zlib.error as error:
        raise HttpFailure(f"The answer cannot be decompressed: {error}") from None
    _check_size(content)
    if not stream.eof or stream.unused_data:
        raise HttpFailure("The answer cannot be decompressed: its length is wrong")
    return content


def _check_size(content: bytes | bytearray) -> None:
    if len(content) > egress_limits.RESPONSE_BYTES_MAX:
        raise HttpFailure(f"The answer has more than {egress_limits.RESPONSE_BYTES_MAX} bytes")
