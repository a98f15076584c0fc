"""A shell completes the commands."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runtime import clock
from runtime.settings import environment
from tests.support.command import evergraph

SECONDS_MAX = 20.0
PROMPT = "ready> "
CALL = f'evergraph() {{ "{sys.executable}" -P -m evergraph "$@"; }}'
"""The command may not be on the path."""


class Bash:
    """An interactive one, at a terminal of its own."""

    def __init__(self) -> None:
        self._terminal, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=environment(PS1=PROMPT, TERM="dumb", INPUTRC="/dev/null"),
        )
        os.close(theirs)
        self._shown = b""
        self.until(PROMPT)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> str:
        """What it shows next, up to this text."""
        deadline = clock.monotonic() + SECONDS_MAX
        while text.encode() not in self._shown:
            ready, *_ = select.select([self._terminal], [], [], deadline - clock.monotonic())
            assert ready, self._shown
            self._shown += os.read(self._terminal, 4_096)
        shown, _, self._shown = self._shown.partition(text.encode())
        return shown.decode()

    def end(self) -> None:
        os.close(self._terminal)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def bash() -> Iterator[Bash]:
    """One that has read what it needs."""
    shell = Bash()
    try:
        shell.type(f'{CALL}\neval "$(evergraph completion bash)"; echo "is"" read"\n')
        shell.until("is read")
        shell.until(PROMPT)
        yield shell
    finally:
        shell.end()


def commands() -> set[str]:
    told = evergraph("--help").stdout.partition("positional arguments:")[2]
    return set(re.findall(r"^    ([a-z]+)\b", told, re.MULTILINE))


def test_bash_offers_every_command(bash: Bash) -> None:
    bash.type("evergraph \t\t")
    shown = bash.until(f"{PROMPT}evergraph ")
    assert {"up", "doctor", "completion"} <= commands()
    assert commands() <= set(shown.split())


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ("evergraph doc", "evergraph doctor "),
        ("evergraph completion f", "evergraph completion fish "),
        ("evergraph up --exec", "evergraph up --executors "),
        ("evergraph doctor --data-dir /us", "evergraph doctor --data-dir /usr/"),
    ],
)
def test_bash_completes_a_word(bash: Bash, begun: str, ended: str) -> None:
    bash.type(f"{begun}\t")
    bash.until(ended)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_others_are_told_every_command(shell: str) -> None:
    printed = evergraph("completion", shell)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert commands() <= set(re.findall(r"[a-z]+", printed.stdout))


def test_no_other_shell_is_known() -> None:
    assert evergraph("completion", "csh").returncode == 2
