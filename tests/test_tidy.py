"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
PACKAGES = (
    "api",
    "benchmarks",
    "blocks",
    "commands",
    "domain",
    "evergraph",
    "migrations",
    "projections",
    "runtime",
    "workers",
)

OWNERS = {
    "datetime.now": "runtime/clock.py",
    "datetime.utcnow": "runtime/clock.py",
    "time.time": "runtime/clock.py",
    "time.time_ns": "runtime/clock.py",
    "time.monotonic": "runtime/clock.py",
    "time.monotonic_ns": "runtime/clock.py",
    "time.sleep": "nobody",
    "uuid.uuid4": "runtime/ids.py",
    "uuid4": "runtime/ids.py",
    "uuid_utils.uuid7": "runtime/ids.py",
    "secrets.token_urlsafe": "runtime/ids.py",
    "os.environ": "runtime/settings.py",
    "os.getenv": "runtime/settings.py",
    "print": "evergraph/console.py",
}
"""Who alone may use what. Benchmarks measure time and print: they may."""


def _product() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def _every_file() -> list[Path]:
    return [*_product(), *sorted((ROOT / "tests").rglob("*.py"))]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def listed_files() -> list[str]:
    """The files that are ours and belong to the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    names = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [name for name in names if "/assets/" not in name and (ROOT / name).is_file()]


@pytest.fixture(params=_every_file(), ids=_name)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", _product(), ids=_name)
def test_clock_chance_and_environment_have_one_door(path: Path) -> None:
    if _name(path).startswith("benchmarks/"):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for used in _used(tree):
        owner = OWNERS.get(used)
        assert owner in {None, _name(path)}, f"{used} belongs to {owner}"


def test_nobody_swallows_everything(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            catches_all = node.type is None or ast.unparse(node.type) in {
                "Exception",
                "BaseException",
            }
            says_nothing = all(isinstance(statement, ast.Pass) for statement in node.body)
            assert not (catches_all and says_nothing), f"line {node.lineno}"


@pytest.mark.parametrize("path", _product(), ids=_name)
def test_every_module_is_used(path: Path) -> None:
    """A module that nobody imports and nobody starts is dead."""
    if path.name in {"__init__.py", "__main__.py"}:
        return
    dotted = _name(path).removesuffix(".py").replace("/", ".")
    package, _, module = dotted.rpartition(".")
    pattern = re.compile(
        rf"(import|from) {re.escape(dotted)}\b"
        rf"|from {re.escape(package)} import [^\n]*\b{module}\b"
        rf"|from {re.escape(package)} import \([^)]*\b{module}\b"
        rf"|[\"']{re.escape(dotted)}[\"'.]"
    )
    users = (other for other in _product() if other != path)
    assert any(pattern.search(user.read_text(encoding="utf-8")) for user in users)


SQL = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("sql/*.sql"))


@pytest.mark.parametrize("path", SQL, ids=_name)
def test_sql_files_hold_one_statement_and_are_used(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.rstrip().count(";") == 0
    loads = f'load(__file__, "{path.stem}")'
    modules = path.parent.parent.glob("*.py")
    assert any(loads in module.read_text(encoding="utf-8") for module in modules)


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for path in _every_file():
        if path != Path(__file__):
            assert not marks.search(path.read_text(encoding="utf-8")), _name(path)


def test_the_tree_holds_no_control_characters() -> None:
    for name in listed_files():
        content = (ROOT / name).read_bytes()
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", content), name


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            yield ast.unparse(node)
