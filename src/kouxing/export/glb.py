"""GLB files (glTF 2.0, section 4.4): a JSON document and one binary block, read and written; arrays in and out of it.

Reading takes what strangers' tools write: sparse accessors, interleaved views, normalised integers. Writing keeps to
32-bit floats for all that moves, because not every program reads ``KHR_mesh_quantization``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import MediaError
from kouxing.export import gltf
from kouxing.media.aside import aside
from kouxing.types import Float

LARGEST_BYTES = 512 << 20
"""Larger files are refused: nothing about a face needs them, and a wrong length field would take all memory."""

COMPONENTS: dict[int, np.dtype[Any]] = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963

Document = dict[str, Any]


@dataclass
class Glb:
    """A glTF document with its binary block.

    Attributes:
        document: the JSON part; ``buffers`` is filled in when it is written.
        binary: what ``bufferViews`` point into.
        path: where it was read from, for messages.
    """

    document: Document
    binary: bytearray = field(default_factory=bytearray)
    path: Path = Path("(new)")

    def append(self, kind: str, row: Document) -> int:
        """Add ``row`` to the document's list ``kind`` (``nodes``, ``accessors``, ...); returns its index."""
        rows = self.document.setdefault(kind, [])
        rows.append(row)
        return len(rows) - 1

    def add_view(self, content: bytes, target: int | None = None) -> int:
        """Add bytes as a buffer view, aligned to 4; returns its index."""
        self.binary.extend(bytes(-len(self.binary) % 4))
        row: Document = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)}
        if target is not None:
            row["target"] = target
        self.binary.extend(content)
        return self.append("bufferViews", row)

    def add_accessor(self, values: NDArray[Any], kind: str, target: int | None = None, limits: bool = False) -> int:
        """Add an array.

        Args:
            values: ``[N]`` or ``[N, width]`` of a type that glTF knows (float32, uint8, uint16, uint32, ...).
            kind: ``SCALAR``, ``VEC2``, ``VEC3``, ...
            target: ``ARRAY_BUFFER`` or ``ELEMENT_BUFFER`` for geometry, None for animation.
            limits: write ``min`` and ``max``.

        Returns:
            The accessor's index.
        """
        row: Document = {
            "bufferView": self.add_view(np.ascontiguousarray(values).tobytes(), target),
            "componentType": _code(values.dtype),
            "count": len(values),
            "type": kind,
        }
        if limits:
            row |= _limits(values)
        return self.append("accessors", row)

    def add_sparse(self, values: Float) -> int:
        """Add ``[N, 3] float32`` that is zero in most rows, storing the others only; returns the accessor's index."""
        rows = np.flatnonzero(np.any(values != 0, axis=1))
        row: Document = {"componentType": 5126, "count": len(values), "type": "VEC3", **_limits(values)}
        if len(rows):
            places = rows.astype(np.uint16 if len(values) < 1 << 16 else np.uint32)
            row["sparse"] = {
                "count": len(rows),
                "indices": {"bufferView": self.add_view(places.tobytes()), "componentType": _code(places.dtype)},
                "values": {"bufferView": self.add_view(np.ascontiguousarray(values[rows], np.float32).tobytes())},
            }
        return self.append("accessors", row)

    def array(self, index: int) -> NDArray[Any]:
        """An accessor's values, ``[N]`` or ``[N, width]``; normalised integers as float32 in 0..1 or -1..1.

        Raises:
            MediaError: it points outside the file, or is of an unknown type.
        """
        try:
            return self._array(self.document["accessors"][index])
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise MediaError(f"{self.path}: accessor {index} is broken ({error}); export the GLB again") from error

    def _array(self, row: Document) -> NDArray[Any]:
        kind, width, count = COMPONENTS[row["componentType"]], WIDTHS[row["type"]], int(row["count"])
        if not 0 <= count * width * kind.itemsize <= LARGEST_BYTES:
            raise ValueError(f"{count} rows")
        values = np.zeros((count, width), kind)
        if "bufferView" in row:
            values = self._view(row["bufferView"], row.get("byteOffset", 0), kind, count, width)
        if "sparse" in row:
            sparse = row["sparse"]
            number, places, patch = int(sparse["count"]), sparse["indices"], sparse["values"]
            at = self._view(
                places["bufferView"], places.get("byteOffset", 0), COMPONENTS[places["componentType"]], number, 1
            )
            values = values.copy()
            values[at[:, 0]] = self._view(patch["bufferView"], patch.get("byteOffset", 0), kind, number, width)
        if row.get("normalized"):
            values = np.maximum(values.astype(np.float32) / np.iinfo(kind).max, -1)
        return values[:, 0] if width == 1 else values

    def _view(self, view: int, offset: int, kind: np.dtype[Any], count: int, width: int) -> NDArray[Any]:
        row = self.document["bufferViews"][view]
        if row.get("buffer", 0) != 0 or "uri" in self.document["buffers"][0]:
            raise ValueError("data outside the GLB")
        start, step = (
            int(row.get("byteOffset", 0)) + int(offset),
            int(row.get("byteStride", 0)) or width * kind.itemsize,
        )
        end = start + step * (count - 1) + width * kind.itemsize if count else start
        if start < 0 or step < 1 or end > len(self.binary):
            raise ValueError("bytes beyond the end")
        strides = (step, kind.itemsize)
        return np.ndarray((count, width), kind, buffer=bytes(self.binary[start:end] or b"\0"), strides=strides)

    def bytes_of(self, view: int) -> bytes:
        """The bytes of a buffer view, an image for instance."""
        try:
            row = self.document["bufferViews"][view]
            start = int(row.get("byteOffset", 0))
            return bytes(self.binary[start : start + int(row["byteLength"])])
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise MediaError(f"{self.path}: buffer view {view} is broken ({error}); export the GLB again") from error

    def pack(self) -> bytes:
        """The whole file."""
        document = dict(self.document)
        if self.binary:
            document["buffers"] = [{"byteLength": len(self.binary)}, *document.get("buffers", [])[1:]]
        return gltf.write_glb(document, bytes(self.binary))


def read_glb(path: Path) -> Glb:
    """Read a GLB file.

    Raises:
        MediaError: missing, unreadable or too large. DataError: not a GLB.
    """
    path = Path(path)
    document, binary = gltf.read_glb(content(path), str(path))
    return Glb(document, bytearray(binary), path)


def content(path: Path) -> bytes:
    """The bytes of a GLB file.

    Raises:
        MediaError: missing, unreadable or too large.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise MediaError(f"{path} is larger than {LARGEST_BYTES >> 20} MB; export a smaller avatar")
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}); check the path") from error


def write_glb(path: Path, glb: Glb) -> None:
    """Write a GLB; it appears under its name only when it is whole.

    Raises:
        OutputError: it cannot be written.
    """
    with aside(Path(path)) as part:
        part.write_bytes(glb.pack())


def _code(kind: np.dtype[Any]) -> int:
    for code, known in COMPONENTS.items():
        if known == kind:
            return code
    raise ValueError(f"glTF has no component type {kind}")


def _limits(values: NDArray[Any]) -> Document:
    flat = values.reshape(len(values), -1)
    return {"min": [_exact(v) for v in flat.min(0)], "max": [_exact(v) for v in flat.max(0)]}


def _exact(value: Any) -> float | int:
    return int(value) if np.issubdtype(type(value), np.integer) else float(value)
