"""Logs: one line an event on standard error, for people at a terminal and as JSON elsewhere.

`structlog.get_logger()` is the way in; what libraries log through the standard library ends in
the same stream, in the same form, under the same redaction.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.typing import Processor, WrappedLogger

from domain.limits import process_limits
from domain.redaction import HIDDEN, is_secret_name, redacted
from runtime.log_repeats import Kind, Repeats
from runtime.pipes import lead_nowhere

HEADING = ("timestamp", "level", "process", "event")
CHATTERS = ("httpx2", "httpcore2", "uvicorn.error")
"""Libraries that tell every request that they make or take."""

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What moves the cursor of a terminal, begins a line in some viewers, or turns the text around."""


def setup(process: str, level: str) -> None:
    """Write the logs of this process, from `level` up. Each line says `process`."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        lambda _, __, event: {**_heading(process, event), **event},
    ]
    stream = cast("TextIO", _Stream(sys.stderr))
    renderer = _renderer(is_terminal=stream.isatty())
    repeats = Repeats(_tell_left_out)
    levelled: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
    ]
    structlog.configure(
        processors=[*levelled, repeats.sample, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(repeats.filter)
    _catch_standard_library(handler, [*levelled, *shared], renderer, threshold)


def redact(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A processor that hides secrets, by the name of a key and by the look of a text."""
    return {key: _hide(key, value) for key, value in event.items()}


def _heading(process: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """What every line begins with."""
    known = {"process": process, **event}
    return {name: known[name] for name in HEADING}


def shown(text: str) -> str:
    """What others said, fit for a person: on one line, bounded, without secrets or controls."""
    return str(_hide("event", text))


class _Stream(io.TextIOBase):
    """Standard error, for as long as somebody reads it. A lost reader must not stop a process."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError:
                lead_nowhere(self._stream)
                self._stream = None
        return len(text)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()


def _hide(key: str, value: Any) -> Any:
    if is_secret_name(key) and value is not None:
        return HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            shown = redacted(value)
            return CONTROLS.sub(_escaped, _cut(_on_one_line(shown) if key == "event" else shown))
        case Mapping():
            return {str(name): _hide(str(name), inner) for name, inner in value.items()}
        case list() | tuple():
            return [_hide(key, inner) for inner in value]
        case _:
            # Whatever else it is, what it is printed as may hold a secret too.
            return _hide(key, msgspec.to_builtins(value, enc_hook=repr))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _on_one_line(text: str) -> str:
    """What an event is called begins the line at a terminal, as it is."""
    return text.replace("\n", "\\n")


def _cut(text: str) -> str:
    """Without its middle if it is too long: a traceback says most at its ends."""
    most = process_limits.LOG_TEXT_CHARS_MAX
    if len(text) <= most:
        return text
    head, tail = most // 4, most - most // 4
    return f"{text[:head]} [{len(text) - most} characters] {text[-tail:]}"


def _renderer(*, is_terminal: bool) -> Processor:
    render = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer(_json)
    )

    def bounded(logger: WrappedLogger, name: str, event: MutableMapping[str, Any]) -> str:
        heading = {key: event[key] for key in HEADING}
        line = str(render(logger, name, event))
        if len(line) <= process_limits.LOG_LINE_CHARS_MAX:
            return line
        what = str(heading["event"])[: process_limits.LOG_KIND_CHARS_MAX]
        return str(render(logger, name, {**heading, "event": what, "left_out": len(line)}))

    return bounded


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def _tell_left_out(kind: Kind, count: int) -> None:
    level, event = kind
    structlog.get_logger().log(
        logging.getLevelNamesMapping()[level.upper()], "log.left_out", what=event, count=count
    )


def _catch_standard_library(
    handler: logging.Handler, shared: list[Processor], renderer: Processor, threshold: int
) -> None:
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.INFO))
    for name in CHATTERS:
        logging.getLogger(name).setLevel(logging.WARNING)
