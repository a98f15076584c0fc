"""Reading what a client has sent: what cannot be decoded here is the client's fault."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import ClientException, InternalServerException


class ClientLeft(ClientException):
    """The client was gone before its body was whole, so nobody hears this."""


class BodyRequest(Request[Any, Any, State]):
    """A request whose body is JSON."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises ClientLeft, and ClientException for one too large."""
        try:
            async for part in super().stream():
                yield part
        except InternalServerException:
            # All that the framework raises it for here; it would be called our fault.
            raise ClientLeft from None

    async def json(self) -> Any:
        """The decoded body. Raises ClientException."""
        try:
            return await super().json()
        except RecursionError:
            raise ClientException("The body is nested too deep") from None
        except UnicodeDecodeError:
            raise ClientException("The body is not UTF-8") from None
        except msgspec.DecodeError as error:
            raise ClientException(str(error)) from None
