"""PostgreSQL arrays in the binary format, packed column by column.

psycopg dumps a list element by element in Python; on the append path that costs more than the
INSERT itself. Here each append packs its own elements once, and a batch only joins the pieces.
Format: array_recv in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from typing import ClassVar
from uuid import UUID

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from domain.json_values import check_text

_HEADER = struct.Struct("!iiIii")
_INT4 = struct.Struct("!i")
_INT8_ELEMENT = struct.Struct("!iq")
_NULL = _INT4.pack(-1)


def text_element(value: str) -> bytes:
    """Raises Invalid for what PostgreSQL cannot store."""
    check_text(value, "a name in the log")
    return bytes_element(value.encode())


def bytes_element(value: bytes) -> bytes:
    return _INT4.pack(len(value)) + value


def int8_element(value: int) -> bytes:
    return _INT8_ELEMENT.pack(8, value)


def int8_elements(first: int, count: int) -> bytes:
    """`count` consecutive numbers."""
    if count == 1:
        return _INT8_ELEMENT.pack(8, first)
    return b"".join([_INT8_ELEMENT.pack(8, number) for number in range(first, first + count)])


def int8(value: bytes) -> int:
    """A number as the server sends it."""
    return int.from_bytes(value, signed=True)


def boolean(value: bool) -> Packed:  # noqa: FBT001 - the value itself
    return Packed(bytes([value]))


def uuid_element(value: UUID | None) -> bytes:
    return _NULL if value is None else bytes_element(value.bytes)


class Packed:
    """A value in binary form, ready to be sent as a parameter."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class PackedArray(Packed):
    """A one-dimensional array."""

    __slots__ = ()

    element_oid: ClassVar[int]

    def __init__(self, count: int, chunks: Iterable[bytes]) -> None:
        super().__init__(b"".join((_header(self.element_oid, count), *chunks)))


class TextArray(PackedArray):
    element_oid = 25


class BytesArray(PackedArray):
    element_oid = 17


class Int8Array(PackedArray):
    element_oid = 20


class UuidArray(PackedArray):
    element_oid = 2950


def _header(element_oid: int, count: int) -> bytes:
    if count == 0:
        return struct.pack("!iiI", 0, 0, element_oid)
    may_hold_null = 1
    return _HEADER.pack(1, may_hold_null, element_oid, count, 1)


def text_array(texts: Collection[str]) -> TextArray:
    """Raises Invalid for what PostgreSQL cannot store."""
    return TextArray(len(texts), [text_element(text) for text in texts])


def bytes_array(values: Collection[bytes]) -> BytesArray:
    return BytesArray(len(values), [bytes_element(value) for value in values])


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> Buffer:
        return obj.data


class TextArrayDumper(_PackedDumper):
    oid = 1009


class BytesArrayDumper(_PackedDumper):
    oid = 1001


class Int8ArrayDumper(_PackedDumper):
    oid = 1016


class UuidArrayDumper(_PackedDumper):
    oid = 2951


for _cls, _dumper in (
    (TextArray, TextArrayDumper),
    (BytesArray, BytesArrayDumper),
    (Int8Array, Int8ArrayDumper),
    (UuidArray, UuidArrayDumper),
):
    psycopg.adapters.register_dumper(_cls, _dumper)
