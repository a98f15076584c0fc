"""What files say of rules and documents can be looked up in the repository."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.test_tidy import ROOT, listed_files

RULES = "docs/engine-rules.md"
INDEX = "docs/decisions/README.md"
RULE = re.compile(r"(?<![\w%./-])([A-Z]\d{1,2}b?)(?![\w%])")
"""A number of a rule, a case, an invariant or an attack, such as D5, C7b, I2 or S24."""
SECTION = re.compile(r"(?<![\w.])(4\.\d{1,2})(?![\w.])")
CASE = re.compile(r"\btest_(c\d+b?)_")
DOCUMENT = re.compile(r"[\w./-]+\.md\b")
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
FOLDER = re.compile(r"\bspec/")
MODULE = re.compile(r"`((?:\w+/)+\w+\.py)`")


def _named(suffix: str) -> list[str]:
    return [name for name in listed_files() if name.endswith(suffix)]


PYTHON = _named(".py")
DOCUMENTS = _named(".md")
TEXTS = [*PYTHON, *DOCUMENTS, *_named(".sql"), *_named(".toml"), "Makefile"]


@cache
def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def _stated() -> frozenset[str]:
    """The numbers that documents state: with an anchor, as a section or as a row of attacks."""
    return frozenset(
        [
            *re.findall(r'<a id="(\w+)"></a>', _text(RULES)),
            *re.findall(r"^## (4\.\d+) ", _text(RULES), re.MULTILINE),
            *re.findall(r"\bS\d\d\b", _text("docs/security.md")),
        ]
    )


def _prose(name: str) -> Iterator[str]:
    """The comments and docstrings of a file of Python."""
    with (ROOT / name).open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and "noqa" not in token.string:
                yield token.string
    for node in ast.walk(ast.parse(_text(name))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


@cache
def _cited(name: str) -> set[str]:
    prose = "\n".join(_prose(name))
    cases = {case.upper().replace("B", "b") for case in CASE.findall(_text(name))}
    return {*RULE.findall(prose), *SECTION.findall(prose), *cases}


def test_every_rule_that_is_cited_is_stated() -> None:
    unknown = {name: _cited(name) - _stated() for name in PYTHON}
    assert {name: numbers for name, numbers in unknown.items() if numbers} == {}


def test_rules_of_every_kind_are_found() -> None:
    """Otherwise the patterns above are wrong, and the test before this one cannot fail."""
    cited = set().union(*map(_cited, PYTHON))
    assert {"4.1", "4.12", "R8", "D7", "P2", "N7", "C7b", "C34", "I12", "S17"} <= cited


def test_a_rule_is_stated_once() -> None:
    numbers = re.findall(r'<a id="(\w+)"></a>(?:\*\*)?(\w+)', _text(RULES))
    assert all(anchor == number for anchor, number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_documents_that_are_named_are_there() -> None:
    missing = [
        (name, document)
        for name in TEXTS
        for document in DOCUMENT.findall(_text(name))
        if not any((ROOT / place / document).is_file() for place in ("", "docs", Path(name).parent))
    ]
    assert missing == []


def test_nothing_refers_to_a_folder_that_is_not_here() -> None:
    assert [name for name in TEXTS if FOLDER.search(_text(name))] == []


def test_modules_that_documents_name_are_there() -> None:
    """What decisions and the changelog name may have moved since they were written."""
    current = [name for name in DOCUMENTS if name.count("/") < 2 and name != "CHANGELOG.md"]
    named = {(name, module) for name in current for module in MODULE.findall(_text(name))}
    assert len(named) > len(current)
    missing = [
        (name, module)
        for name, module in named
        if not any((ROOT / place / module).is_file() for place in ("", "tests"))
    ]
    assert missing == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for path, anchor in LINK.findall(_text(name)):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), path
        if anchor:
            assert anchor in _anchors(target.resolve().relative_to(ROOT).as_posix()), anchor


@cache
def _anchors(name: str) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", _text(name), re.MULTILINE)
    slugs = (re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings)
    return frozenset([*slugs, *re.findall(r'<a id="(\w+)"></a>', _text(name))])


DECISIONS = [name for name in DOCUMENTS if re.match(r"docs/decisions/\d", name)]
HEADER = re.compile(
    r"# (\d{4}) (.+)\n\n\*Status\* (.+)\. \*Area\* ([^.]+)\. \*Date\* (\d{4}-\d\d-\d\d)\.\n"
)
STATUS = re.compile(
    r"accepted|(?:accepted, superseded in part|superseded) by \[(\d{4})\]\(\1-[\w-]+\.md\)"
)


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_says_whether_it_holds_and_stands_in_the_index(name: str) -> None:
    header = HEADER.match(_text(name))
    assert header is not None
    number, title, status, area, _ = header.groups()
    file = Path(name).name
    assert file.startswith(f"{number}-")
    assert f"| [{number}]({file}) | {title} | {area} | {status} |\n" in _text(INDEX)
    held = STATUS.fullmatch(status)
    assert held is not None
    assert held[1] is None or held[1] > number, "a later decision supersedes an earlier one"


def test_the_index_of_decisions_is_complete_and_in_order() -> None:
    rows = re.findall(r"^\| \[\d{4}\]\(([^)]+)\)", _text(INDEX), re.MULTILINE)
    assert [f"docs/decisions/{row}" for row in rows] == DECISIONS
