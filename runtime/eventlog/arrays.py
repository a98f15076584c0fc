"""PostgreSQL arrays in the binary format, packed column by column.

psycopg dumps a list element by element in Python; on the append path that costs more than the
INSERT itself. Here each append packs its own elements once, and a batch only joins the pieces.
Format: array_recv in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from uuid import UUID

from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii")
_INT4 = struct.Struct("!i")
_INT8_ELEMENT = struct.Struct("!iq")
_NULL = _INT4.pack(-1)

_TEXT, _BYTEA, _INT8, _UUID = 25, 17, 20, 2950


def text_element(value: str) -> bytes:
    return bytes_element(value.encode())


def bytes_element(value: bytes) -> bytes:
    return _INT4.pack(len(value)) + value


def int8_element(value: int) -> bytes:
    return _INT8_ELEMENT.pack(8, value)


def uuid_element(value: UUID | None) -> bytes:
    return _NULL if value is None else bytes_element(value.bytes)


class PackedArray:
    """A one-dimensional array: elements in binary form, ready to be sent as a parameter."""

    __slots__ = ("data",)

    def __init__(self, element_oid: int, count: int, chunks: Iterable[bytes]) -> None:
        self.data = b"".join((_header(element_oid, count), *chunks))


class TextArray(PackedArray):
    def __init__(self, count: int, chunks: Iterable[bytes]) -> None:
        super().__init__(_TEXT, count, chunks)


class BytesArray(PackedArray):
    def __init__(self, count: int, chunks: Iterable[bytes]) -> None:
        super().__init__(_BYTEA, count, chunks)


class Int8Array(PackedArray):
    def __init__(self, count: int, chunks: Iterable[bytes]) -> None:
        super().__init__(_INT8, count, chunks)


class UuidArray(PackedArray):
    def __init__(self, count: int, chunks: Iterable[bytes]) -> None:
        super().__init__(_UUID, count, chunks)


def _header(element_oid: int, count: int) -> bytes:
    if count == 0:
        return struct.pack("!iiI", 0, 0, element_oid)
    may_hold_null = 1
    return _HEADER.pack(1, may_hold_null, element_oid, count, 1)


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


DUMPERS: tuple[tuple[type[PackedArray], type[Dumper]], ...] = (
    (TextArray, TextArrayDumper),
    (BytesArray, BytesArrayDumper),
    (Int8Array, Int8ArrayDumper),
    (UuidArray, UuidArrayDumper),
)
