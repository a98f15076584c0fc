"""Reading what a client has sent: what cannot be decoded here is the client's fault."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import ClientException


class BodyRequest(Request[Any, Any, State]):
    """A request whose body is JSON."""

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
