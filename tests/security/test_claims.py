"""`docs/security.md` says what holds and by which tests; their marks say the same."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.test_tidy import ROOT

TESTS = ROOT / "tests"
ROW = re.compile(r"\| (S\d\d) \|.*\| ([^|]*) \|")
FILE = re.compile(r"`([\w/]+\.py)`")

Claims = dict[str, set[str]]
"""Files of tests by id."""


def claimed() -> Claims:
    """As the table says."""
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    table = text.partition("## What holds")[2].partition("\n## ")[0]
    return {row[1]: set(FILE.findall(row[2])) for row in ROW.finditer(table)}


def marked() -> Claims:
    """As the tests say."""
    found: Claims = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        for test in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
                for case in cases(test):
                    found[case].add(path.relative_to(TESTS).as_posix())
    return dict(found)


def cases(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [
        str(ast.literal_eval(argument))
        for mark in test.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.holds"
        for argument in mark.args
    ]


def test_what_is_claimed_is_proved_where_it_says() -> None:
    assert claimed() == marked()


def test_every_file_that_is_named_is_there() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = [Path(name) for name in FILE.findall(text)]
    assert named
    for name in named:
        assert (TESTS / name).is_file() or (ROOT / name).is_file(), name
