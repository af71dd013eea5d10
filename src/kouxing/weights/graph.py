"""The stored numbers inside a serialised ONNX model, found and replaced without the ``onnx`` package.

Only what is needed of the wire format (protocol buffers, ``onnx.proto``): a model's graph is its field 7, the graph's
stored tensors are field 5; in a tensor, 1 is its sides, 2 its type, 8 its name, 9 its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPH, STORED = 7, 5
SIDES, TYPE, NAME, RAW, OUTSIDE, PLACE = 1, 2, 8, 9, 13, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
"""ONNX's numbers for the types whose tensors can be replaced."""


@dataclass(frozen=True)
class Stored:
    """Where one floating-point tensor lies in the model.

    Attributes:
        dtype: float32 or float16.
        shape: its sides.
        start: of its bytes in the file.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def stored(model: bytes) -> dict[str, Stored]:
    """Floating-point tensors with raw bytes that ``model`` holds, by name.

    Raises:
        ValueError: it is no ONNX model, or keeps tensors outside of itself.
    """
    found: dict[str, Stored] = {}
    for field, wire, first, last in _fields(model, 0, len(model)):
        if (field, wire) != (GRAPH, BYTES):
            continue
        for inner, kind, start, stop in _fields(model, first, last):
            if (inner, kind) == (STORED, BYTES):
                name, tensor = _tensor(model, start, stop)
                if tensor is not None:
                    found[name] = tensor
    if not found:
        raise ValueError("no stored tensors")
    return found


def values(model: bytes, where: Stored) -> NDArray[Any]:
    """A tensor's numbers, read only."""
    flat = np.frombuffer(model, where.dtype, where.size // where.dtype.itemsize, where.start)
    return flat.reshape(where.shape)


def replaced(model: bytes, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """The model with other numbers in some of its tensors.

    Raises:
        ValueError: a tensor is not there, or has another shape or type.
    """
    found = stored(model)
    made = bytearray(model)
    for name, value in tensors.items():
        if name not in found:
            raise ValueError(f"no tensor {name!r}")
        where = found[name]
        if value.dtype != where.dtype or value.shape != where.shape:
            raise ValueError(
                f"tensor {name!r} is {where.dtype} {list(where.shape)}, got {value.dtype} {list(value.shape)}"
            )
        made[where.start : where.start + where.size] = np.ascontiguousarray(value).tobytes()
    return bytes(made)


def _tensor(model: bytes, start: int, stop: int) -> tuple[str, Stored | None]:
    """Name of a tensor, and where its numbers lie; None where they are no raw floats."""
    name, kind, raw, shape = "", 0, None, []
    for field, wire, first, last in _fields(model, start, stop):
        if field in (OUTSIDE, PLACE) and (wire == BYTES or first):
            raise ValueError("a tensor is kept outside of the model")
        if field == NAME and wire == BYTES:
            name = model[first:last].decode("utf-8")
        elif field == TYPE and wire == VARINT:
            kind = first
        elif field == RAW and wire == BYTES:
            raw = (first, last)
        elif field == SIDES and wire == VARINT:
            shape.append(first)
        elif field == SIDES and wire == BYTES:
            while first < last:
                side, first = _number(model, first, last)
                shape.append(side)
    if raw is None or kind not in TYPES:
        return name, None
    tensor = Stored(TYPES[kind], tuple(shape), raw[0])
    if tensor.size != raw[1] - raw[0]:
        raise ValueError(f"tensor {name!r} has {raw[1] - raw[0]} bytes for {list(shape)}")
    return name, tensor


def _fields(model: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message: (number, wire type, first, last) of its bytes; of a varint its value and 0."""
    at = start
    while at < stop:
        key, at = _number(model, at, stop)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _number(model, at, stop)
            yield field, wire, value, 0
            continue
        if wire == BYTES:
            size, at = _number(model, at, stop)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at + size > stop:
            raise ValueError("a field is cut off")
        yield field, wire, at, at + size
        at += size


def _number(model: bytes, at: int, stop: int) -> tuple[int, int]:
    """A varint and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= stop:
            raise ValueError("a number is cut off")
        byte = model[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")
