"""Reading what a client has sent: what cannot be decoded here is the client's fault."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import (
    ClientException,
    InternalServerException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.serialization import decode_json

from api.http import large_bodies
from domain.json_values import has_repeats, is_crowded
from domain.limits import memory_limits, request_limits

BODY = "data"
"""How handlers call their body."""


class OwnBody(msgspec.Struct, forbid_unknown_fields=True):
    """One that no other platform has, so that a member that we do not know is a mistake."""


class ClientLeft(ClientException):
    """The client was gone before its body was whole, so nobody hears this."""


class BodyRequest(Request[Any, Any, State]):
    """A request whose body is JSON. It keeps nothing of that after the beginning of its answer."""

    async def body(self) -> bytes:
        """As it came, whoever asks for it again. Raises as `stream` does."""
        kept = self.scope["state"]
        if large_bodies.BODY not in kept:
            kept[large_bodies.BODY] = b"".join([part async for part in self.stream()])
        body: bytes = kept[large_bodies.BODY]
        return body

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes.

        Raises ClientLeft, ClientException for one too large, and Unavailable for a large one for
        which there is no room.
        """
        size = 0
        try:
            async for part in super().stream():
                size += len(part)
                if size > request_limits.REQUEST_BYTES_MAX:
                    await large_bodies.come(self.scope, self.user.user_id)
                yield part
        except InternalServerException:
            # All that the framework raises it for here; it would be called our fault.
            raise ClientLeft from None

    async def json(self) -> Any:
        """The decoded body. Raises ClientException, and ValidationException for wrong types."""
        expected = self.scope["route_handler"].parsed_fn_signature.parameters.get(BODY)
        body = await self.body()
        _refuse_crowds(body)
        if len(body) > request_limits.REQUEST_BYTES_MAX:
            await large_bodies.permit(self.scope, self.user.user_id)
        try:
            value = decode_json(body or b"null")
            if has_repeats(body, value):
                raise ClientException("The body has an object with two members of one name")
        except RecursionError:
            raise ClientException("The body is nested too deep") from None
        except UnicodeDecodeError:
            raise ClientException("The body is not UTF-8") from None
        except msgspec.DecodeError as error:
            raise ClientException(str(error)) from None
        if expected is not None and value is not None:
            _check_types(value, expected.annotation)
        return value


def _check_types(value: Any, expected: Any) -> None:
    """Refuse what the framework would make something else of, such as 0 for false."""
    try:
        msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        key = place.rstrip("`").lstrip(".") or BODY
        raise ValidationException(extra=[{"key": key, "message": message}]) from None


def _refuse_crowds(body: bytes) -> None:
    """Refuse what would take far more memory than it has bytes, before it does."""
    most = memory_limits.BODY_VALUES_MAX
    if is_crowded(body, most):
        raise RequestEntityTooLarge(f"The body must have at most {most} values")
