"""Whatever a client sends, a line of the log stays one line, and moves nobody's cursor."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import msgspec
import pytest

from tests.support.plugin import ROOT

EVIL = "a\r\n2026 [error] forged\x1b[2J\x9b31m\u2028\u202e\x00"
BARE = "x\x1b[31m"
"""Without a blank or a quote, which alone would have it quoted."""
PROGRAM = f"""
import logging
import structlog
from runtime import logs

logs.setup("probe", "info")
log = structlog.get_logger()
log.info("seen", path={EVIL!r}, user={BARE!r}, inner={{"list": [{EVIL!r}]}})
log.info({EVIL!r})
logging.getLogger("other").warning("peer says %s", {EVIL!r})
try:
    raise ValueError({EVIL!r})
except ValueError:
    log.exception("failed")
"""
COLOURS = re.compile(r"\x1b\[\d+m")
"""Those of ours: none of them is a part of what was sent."""
HARMLESS = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*")


@pytest.mark.holds("S36")
def test_a_line_of_the_log_is_one_line_and_holds_no_control_character() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE, check=True, cwd=ROOT
    )
    lines = [msgspec.json.decode(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines][::3] == ["seen", "failed"]
    assert len(lines) == 4
    texts = [value for line in lines for value in line.values() if isinstance(value, str)]
    for text in [*texts, *lines[0]["inner"]["list"]]:
        assert HARMLESS.fullmatch(text), text


@pytest.mark.holds("S36")
def test_a_terminal_shows_what_was_sent_and_obeys_none_of_it() -> None:
    shown = at_a_terminal()
    plain = COLOURS.sub("", shown)
    assert plain.count("forged") == 5
    assert HARMLESS.fullmatch(plain), plain
    assert shown.count("\x1b[31m") == 1, "that of the level `error`"
    before_the_traceback = plain.partition("Traceback")[0].splitlines()
    assert [line[:2] for line in before_the_traceback] == ["20"] * 4


def at_a_terminal() -> str:
    """What the program prints at one, whose lines end with CR and LF."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", PROGRAM], stderr=theirs, check=True, cwd=ROOT)
        os.write(theirs, b"\x04")
        shown = b""
        while not shown.endswith(b"\x04"):
            shown += os.read(ours, 2**16)
    finally:
        os.close(theirs)
        os.close(ours)
    return shown.rstrip(b"\x04").decode().replace("\r\n", "\n")
