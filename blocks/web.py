"""Talking to servers outside."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode

import msgspec

from blocks.charsets import UTF_8, text_of
from blocks.contract import (
    AsyncYields,
    Block,
    BlockContext,
    BlockFailure,
    BlockUnavailable,
    Category,
    HttpAnswer,
    Pins,
    pin,
)
from domain.contracts import BlockCost, Effect
from domain.http import Body, HttpFailure, HttpRefused, check_size
from domain.limits import egress_limits
from domain.policies import NodePolicy, Retries


class SendWebRequest(Block):
    id = "6595ae1f-b924-42cb-9a41-551a0611c4b4"
    description = "Send an HTTP request and pass on the answer"
    categories = (Category.OUTPUT,)
    effect = Effect.EFFECTFUL
    costs = (BlockCost(cost_amount=1),)
    # A network is often back within seconds. Every attempt carries the same key, as after a crash,
    # so a server that minds can tell that it has seen the request before.
    policy = NodePolicy(retries=Retries(attempts=3, first_seconds=0.5, factor=4.0))

    class Input(Pins):
        url: Annotated[str, pin("Where to, with http or https", placeholder="https://…")]
        method: Annotated[
            Literal["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"],
            pin("The HTTP method"),
        ] = "POST"
        headers: Annotated[dict[str, str], pin("Headers to send")] = msgspec.field(
            default_factory=dict
        )
        json_format: Annotated[bool, pin("Send the body as JSON; else as a form")] = True
        body: Annotated[dict[str, Any] | None, pin("The body")] = None

    class Output(Pins):
        response: Annotated[Any, pin("The body of an answer that reports success (2xx)")]
        client_error: Annotated[Any, pin("The body of an answer that blames the request (4xx)")]
        server_error: Annotated[Any, pin("The body of any other answer")]

    test_input: ClassVar = {"url": "http://api.example.com/echo", "body": {"hello": "world"}}
    test_output = (("response", {"method": "POST", "body": {"hello": "world"}}),)

    async def run(self, inputs: Input, context: BlockContext) -> AsyncYields:
        headers, body = _request(inputs, context.idempotency_key)
        try:
            answer = await context.http.send(inputs.method, inputs.url, headers=headers, body=body)
        except HttpRefused as refusal:
            raise BlockFailure(str(refusal)) from refusal
        except HttpFailure as failure:
            raise BlockUnavailable(str(failure)) from failure
        yield _output(answer.status), _content(answer)


def _request(
    inputs: SendWebRequest.Input, idempotency_key: str
) -> tuple[dict[str, str], Body | None]:
    headers = {name.lower(): value for name, value in inputs.headers.items()}
    # A key of the caller's own would be the same for every run of the graph, and a receiver that
    # honours it would drop all but the first.
    headers["idempotency-key"] = idempotency_key
    if inputs.body is None:
        return headers, None
    if inputs.json_format:
        headers.setdefault("content-type", "application/json")
        return headers, partial(msgspec.json.encode, inputs.body)
    headers.setdefault("content-type", "application/x-www-form-urlencoded")
    return headers, partial(_form, inputs.body)


def _form(fields: dict[str, Any]) -> bytes:
    """Texts as they are, lists as repeated fields, everything else as JSON text.

    Raises HttpRefused for what is too large already before it is quoted, which takes long.
    """
    check_size(len(msgspec.json.encode(fields)))
    pairs = [
        (name, value if isinstance(value, str) else msgspec.json.encode(value))
        for name, values in fields.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    return urlencode(pairs).encode()


def _output(status: int) -> str:
    match status // 100:
        case 2:
            return "response"
        case 4:
            return "client_error"
        case _:
            return "server_error"


def _content(answer: HttpAnswer) -> Any:
    kind, charset = _media_type(answer.headers.get("content-type", ""))
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, RecursionError):
            pass  # what calls itself JSON and is not can still be read as text
    return text_of(answer.body, charset)


def _media_type(header: str) -> tuple[str, str]:
    """The media type in lower case, and the charset; a header too long to be meant says nothing.

    Email's parser of the standard library takes time by the square of the header's length.
    """
    if len(header) > egress_limits.CONTENT_TYPE_CHARS_MAX:
        return "", UTF_8
    kind, *parameters = header.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return kind.strip().lower(), value.strip().strip("\"'")
    return kind.strip().lower(), UTF_8
