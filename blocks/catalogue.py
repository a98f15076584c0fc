"""Every block there is, by id.

A new block is a class in one of the family modules; a new family is a module imported here. The
blocks of installed plug-ins are here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from blocks import agents, data, io, logic, reviews, text, triggers, waiting, web
from blocks.contract import Block, Category
from blocks.plugins import import_plugins
from domain.contracts import ERROR_PIN, BlockContract

FAMILIES = (io, logic, text, data, waiting, web, agents, reviews, triggers)

_CATEGORIES = {
    Category.BASIC: "Moving and keeping values",
    Category.INPUT: "What goes into an agent",
    Category.OUTPUT: "What comes out of an agent",
    Category.LOGIC: "Deciding, counting and repeating",
    Category.TEXT: "Making and changing texts",
    Category.DATA: "Building and reading data",
    Category.AGENT: "Running other agents",
}

_ERROR = {
    "type": "string",
    "title": "Error",
    "description": "Why the block failed",
    "advanced": False,
    "secret": False,
}


def catalogue_of(classes: Iterable[type[Block]]) -> Mapping[str, Block]:
    """One instance of each class, by id. Raises ValueError when two share an id or a name."""
    catalogue: dict[str, Block] = {}
    owners: dict[tuple[str, str], type[Block]] = {}
    for cls in classes:
        block = cls()
        for key in (("id", block.id), ("name", block.name)):
            other = owners.setdefault(key, cls)
            if other is not cls:
                what, value = key
                raise ValueError(
                    f"The blocks {_place(other)} and {_place(cls)} have the same {what}: {value}"
                )
        catalogue[block.id] = block
    return MappingProxyType(catalogue)


def _place(cls: type[Block]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def describe(block: Block) -> dict[str, Any]:
    """The block as clients read it: one object with the members of both shapes in use.

    `input_schema` and its like are the older shape, `inputSchema` and its like the newer one.
    """
    contract = block.contract()
    inputs = _schema(contract.inputs, (*contract.required, *contract.credentials))
    outputs = _schema({**contract.outputs, ERROR_PIN: _ERROR}, ())
    costs = msgspec.to_builtins(block.costs)
    return {
        "id": block.id,
        "name": block.name,
        "description": block.description,
        "type": block.kind,
        "category": block.categories[0],
        "input_schema": inputs,
        "output_schema": outputs,
        "static_output": block.static_output,
        "block_costs": costs,
        "disabled": False,
        "test_input": block.test_input,
        "test_output": [list(pair) for pair in block.test_output],
        "test_mock": None,
        "inputSchema": inputs,
        "outputSchema": outputs,
        "costs": costs,
        "categories": [
            {"category": category, "description": _CATEGORIES[category]}
            for category in block.categories
        ],
        "contributors": [],
        "staticOutput": block.static_output,
        "uiType": block.kind,
    }


def _schema(pins: Mapping[str, dict[str, Any]], required: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(pins), "required": list(required)}


def _listed() -> Iterator[type[Block]]:
    """Our own blocks, then those of plug-ins; none that something else defined by the way."""
    for module in (*(family.__name__ for family in FAMILIES), *import_plugins()):
        within = f"{module}."
        yield from (cls for cls in Block.registered if f"{cls.__module__}.".startswith(within))


CATALOGUE: Mapping[str, Block] = catalogue_of(_listed())
CONTRACTS: Mapping[str, BlockContract] = MappingProxyType(
    {block_id: block.contract() for block_id, block in CATALOGUE.items()}
)
