"""Nothing is run that nobody asked for: what is imported is named in `pyproject.toml`, why stands
in `docs/decisions/0002-dependencies.md`, and which files are meant in `requirements/`.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_tidy import PACKAGES, ROOT

NAME = re.compile(r"[a-z0-9-]+")
OURS = {*PACKAGES, "tests"}
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILDERS = DECLARED["build-system"]["requires"]
PROJECT = DECLARED["project"]
PRODUCT = PROJECT["dependencies"]
FOR_TESTS = PROJECT["optional-dependencies"]["test"]


BRINGS = {
    module: [name.lower().replace("_", "-") for name in distributions]
    for module, distributions in packages_distributions().items()
}
"""What is installed, by the modules that it brings."""


def names(requirements: list[str]) -> set[str]:
    return {found[0] for each in requirements if (found := NAME.match(each))}


def imported(*folders: str) -> Iterator[tuple[str, str]]:
    """Modules that are not ours nor Python's, with the file that imports each."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    modules = [node.module or ""]
                else:
                    continue
                for top in {module.partition(".")[0] for module in modules}:
                    if top not in OURS and top not in sys.stdlib_module_names:
                        yield top, path.relative_to(ROOT).as_posix()


@pytest.mark.holds("S52")
def test_what_is_imported_is_asked_for_by_name() -> None:
    """What merely comes along with something else may leave with it."""
    product = [package for package in PACKAGES if package != "benchmarks"]
    for folders, asked in ((product, PRODUCT), (["tests"], [*PRODUCT, *FOR_TESTS])):
        for module, path in imported(*folders):
            assert names(BRINGS[module]) & names(asked), (module, path)


@pytest.mark.holds("S52")
def test_what_is_asked_for_comes_from_the_index_with_a_least_version_and_a_reason() -> None:
    reasons = (ROOT / "docs/decisions/0002-dependencies.md").read_text(encoding="utf-8")
    for requirement in [*PRODUCT, *FOR_TESTS]:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?(>=|==)[0-9.*]+(,<[0-9.]+)?", requirement)
        name = NAME.match(requirement)
        assert name is not None
        assert name[0] in reasons, requirement


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    """The versions that a lock file gives, by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) ", lock(name), re.MULTILINE))


@pytest.mark.holds("S52")
@pytest.mark.parametrize(
    ("name", "asked"),
    [("product", [*BUILDERS, *PRODUCT]), ("tests", [*BUILDERS, *PRODUCT, *FOR_TESTS])],
)
def test_what_is_asked_for_is_locked_at_a_version_that_was_asked_for(
    name: str, asked: list[str]
) -> None:
    """Otherwise `make lock` was forgotten."""
    versions = locked(name)
    for requirement in map(Requirement, asked):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, requirement
        assert requirement.specifier.contains(version), (requirement, version)


@pytest.mark.holds("S52")
@pytest.mark.parametrize("name", ["product", "tests"])
def test_a_locked_package_has_hashes_and_no_address(name: str) -> None:
    """Where packages come from is for whoever installs them to say."""
    entry = re.compile(r"[a-z0-9-]+==\S+ (; [^:/]+ )?(--hash=sha256:[0-9a-f]{64} ?)+")
    told = re.sub(r" *#.*\n", "", lock(name))
    entries = re.sub(r"\\\n +", "", told).splitlines()
    assert [line for line in entries if not entry.fullmatch(line)] == []
    assert len(entries) == len(locked(name)) > 0


def test_tests_run_what_the_product_is() -> None:
    assert locked("product").items() <= locked("tests").items()
