"""Every block there is, by id.

A new block is a class in one of the family modules; a new family is a module imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from blocks import data, io, logic, text, waiting, web
from blocks.contract import Block, Category
from domain.contracts import ERROR_PIN, BlockContract

FAMILIES = (io, logic, text, data, waiting, web)

_CATEGORIES = {
    Category.BASIC: "Moving and keeping values",
    Category.INPUT: "What goes into an agent",
    Category.OUTPUT: "What comes out of an agent",
    Category.LOGIC: "Deciding, counting and repeating",
    Category.TEXT: "Making and changing texts",
    Category.DATA: "Building and reading data",
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
    names: dict[str, type[Block]] = {}
    for cls in classes:
        block = cls()
        if block.id in catalogue:
            raise ValueError(f"{block.name} and {catalogue[block.id].name} have the same id")
        if block.name in names:
            raise ValueError(f"{cls} and {names[block.name]} have the same name")
        catalogue[block.id] = block
        names[block.name] = cls
    return MappingProxyType(catalogue)


def describe(block: Block) -> dict[str, Any]:
    """The block as clients read it: one object with the members of both shapes in use.

    `input_schema` and its like are the older shape, `inputSchema` and its like the newer one.
    """
    contract = block.contract()
    inputs = _schema(contract.inputs, contract.required)
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


_MODULES = frozenset(family.__name__ for family in FAMILIES)

CATALOGUE: Mapping[str, Block] = catalogue_of(
    cls for cls in Block.registered if cls.__module__ in _MODULES
)
CONTRACTS: Mapping[str, BlockContract] = MappingProxyType(
    {block_id: block.contract() for block_id, block in CATALOGUE.items()}
)
