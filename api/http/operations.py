"""What the document says of operations beside what their handlers take: headers of requests and
answers that are read and written in one place for all.
"""

from __future__ import annotations

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from api.http.calls import AT_LEAST, IDEMPOTENCY_KEY, POSITION, POSITION_TEXT
from domain.limits import request_limits

_POSITION = Schema(type=OpenAPIType.STRING, pattern=f"^{POSITION_TEXT.pattern}$")
_KEY = Schema(
    type=OpenAPIType.STRING, min_length=1, max_length=request_limits.IDEMPOTENCY_KEY_CHARS_MAX
)


@dataclass
class Command(Operation):
    """Takes effect once for each key, and says where its last event stands."""

    def __post_init__(self) -> None:
        _take(self, IDEMPOTENCY_KEY, _KEY, "Sent again with the same key, it takes effect once.")
        assert self.responses is not None
        done = self.responses["200"]
        assert isinstance(done, OpenAPIResponse)
        position = OpenAPIHeader(
            schema=_POSITION, description="Where the last event stands in the log, if there is one."
        )
        done.headers = {**(done.headers or {}), POSITION: position}


@dataclass
class Start(Command):
    """Can be sent without its body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert isinstance(self.request_body, RequestBody)
        self.request_body.required = False


@dataclass
class Listing(Operation):
    """Can wait until it shows what was written."""

    def __post_init__(self) -> None:
        _take_position(self)


@dataclass
class CommandForAll(Command):
    """Does something to all that a list shows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _take_position(self)


def _take_position(operation: Operation) -> None:
    _take(operation, AT_LEAST, _POSITION, "A position that lists have to show, waited for briefly.")


def _take(operation: Operation, name: str, schema: Schema, description: str) -> None:
    header = Parameter(name=name, param_in="header", schema=schema, description=description)
    operation.parameters = [*(operation.parameters or []), header]
