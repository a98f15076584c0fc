"""Blocks of others, found by real processes in folders that look as pip leaves them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from blocks.catalogue import CATALOGUE
from blocks.contract import Block
from blocks.logic import Calculator
from runtime import settings
from tests.blocks.support import outputs_of
from tests.support import plugin_blocks
from tests.support.plugin import plugin_path, write_plugin

LIST = """
import msgspec, sys
from blocks.catalogue import CATALOGUE
sys.stdout.buffer.write(msgspec.json.encode({key: block.name for key, block in CATALOGUE.items()}))
"""
BUILT_IN = {block_id: block.name for block_id, block in CATALOGUE.items()}

SHOUT = """
from blocks.contract import Block, Pins

class {name}(Block):
    id = "{block_id}"
    description = "Text in capitals"
    categories = ()

    class Input(Pins):
        text: str

    class Output(Pins):
        output: str

    def run(self, inputs, context):
        yield "output", inputs.text.upper()
"""
SHOUT_ID = "0b8d0f0e-6f0c-4a7f-8a39-5a8f1e2b9c11"


def started(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """A process that learns which blocks there are, with the plug-ins of this folder."""
    return subprocess.run(
        [sys.executable, "-P", "-c", LIST],
        env=settings.environment(PYTHONPATH=plugin_path(folder)),
        capture_output=True,
        check=False,
    )


def listed(folder: Path) -> dict[str, str]:
    process = started(folder)
    assert process.returncode == 0, process.stderr.decode()
    return msgspec.json.decode(process.stdout, type=dict[str, str])


def refusal(folder: Path) -> str:
    """The last line of what a process says that does not start."""
    process = started(folder)
    assert process.returncode == 1
    return process.stderr.decode().splitlines()[-1]


def shout(path: Path, *, name: str = "Shout", block_id: str = SHOUT_ID) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SHOUT.format(name=name, block_id=block_id), encoding="utf-8")


def test_the_blocks_of_a_plugin_come_after_the_built_in_ones(tmp_path: Path) -> None:
    write_plugin(tmp_path, [plugin_blocks.__name__])
    found = listed(tmp_path)
    theirs = {
        cls.id: f"{cls.__name__}Block"
        for cls in Block.registered
        if cls.__module__ == plugin_blocks.__name__
    }
    assert len(theirs) > 5
    assert list(found.items()) == [*BUILT_IN.items(), *theirs.items()]


def test_without_plugins_there_are_the_built_in_blocks(tmp_path: Path) -> None:
    shout(tmp_path / "nobody_names_me.py")
    assert listed(tmp_path) == BUILT_IN


def test_several_packages_may_bring_blocks_in_modules_and_in_packages(tmp_path: Path) -> None:
    shout(tmp_path / "loud.py")
    shout(tmp_path / "quiet" / "voices.py", name="Whisper", block_id="other")
    (tmp_path / "quiet" / "__init__.py").write_text("from quiet import voices\n", encoding="utf-8")
    write_plugin(tmp_path, ["loud"], name="loud_blocks")
    write_plugin(tmp_path, ["quiet", "quiet.voices"], name="quiet_blocks")
    added = {SHOUT_ID: "ShoutBlock", "other": "WhisperBlock"}
    assert listed(tmp_path) == BUILT_IN | added


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'acme_blocks'"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("def broken(:", "SyntaxError: invalid syntax (acme_blocks.py, line 1)"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named(
    tmp_path: Path, source: str | None, reason: str
) -> None:
    write_plugin(tmp_path, ["acme_blocks"], name="acme")
    if source is not None:
        (tmp_path / "acme_blocks.py").write_text(source, encoding="utf-8")
    assert refusal(tmp_path) == (
        f"ImportError: The plug-in acme_blocks of the package acme cannot be imported: {reason}"
    )


def test_a_block_that_is_there_already_is_refused(tmp_path: Path) -> None:
    write_plugin(tmp_path, ["acme_blocks"])
    shout(tmp_path / "acme_blocks.py", block_id=Calculator.id)
    assert refusal(tmp_path) == (
        "ValueError: The blocks blocks.logic.Calculator and acme_blocks.Shout have the same id: "
        f"{Calculator.id}"
    )
    shout(tmp_path / "acme_blocks.py", name="Calculator")
    assert refusal(tmp_path) == (
        "ValueError: The blocks blocks.logic.Calculator and acme_blocks.Calculator have the same "
        "name: CalculatorBlock"
    )


@pytest.mark.parametrize(
    "block",
    [
        plugin_blocks.CallsTool(),
        plugin_blocks.NeedsCredentials(),
        plugin_blocks.Flaky(),
        plugin_blocks.Slow(),
        plugin_blocks.NotesItsKey(),
    ],
    ids=lambda block: block.name,
)
async def test_the_blocks_that_other_tests_rely_upon_do_as_they_say(block: Block) -> None:
    assert await outputs_of(block, block.test_input) == list(block.test_output)
