"""glTF 2.0 binary (GLB): coefficients become a morph animation of the meshes that name them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import DataError
from kouxing.types import CoefficientTrack, Float

MAGIC, VERSION = b"glTF", 2
HEAD_BYTES = 12
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
FLOAT = 5126

XMP = "KHR_xmp_json_ld"
XMP_CONTEXT = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}

Document = dict[str, Any]

_PLACES = {name.lower(): place for name, place in PLACE.items()}


def read_glb(content: bytes, where: str) -> tuple[Document, bytes]:
    """Take a GLB apart.

    Args:
        content: the file. where: its name, for errors.

    Returns:
        The JSON part and the binary part (empty where there is none).

    Raises:
        DataError: not a whole GLB of version 2.
    """
    try:
        if len(content) < HEAD_BYTES:
            raise ValueError(f"{len(content)} bytes are too few")
        magic, version, length = struct.unpack_from("<4sII", content)
        if magic != MAGIC or version != VERSION:
            raise ValueError("it does not begin with glTF version 2")
        if length > len(content):
            raise ValueError(f"{len(content)} of {length} bytes are there")
        chunks: dict[int, bytes] = {}
        at = 12
        while at + 8 <= length:
            size, kind = struct.unpack_from("<II", content, at)
            if at + 8 + size > length:
                raise ValueError("a chunk runs over the file's end")
            chunks.setdefault(kind, content[at + 8 : at + 8 + size])
            at += 8 + size
        document = json.loads(chunks[JSON_CHUNK])
        if not isinstance(document, dict):
            raise ValueError("its JSON part is no object")
    except (struct.error, ValueError, KeyError, RecursionError) as error:
        why = "its JSON part is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{where} is no GLB file: {why}; export it as glTF binary (.glb)") from error
    return document, chunks.get(BIN_CHUNK, b"")


def write_glb(document: Document, binary: bytes) -> bytes:
    """Put a GLB together; ``document`` must already state the binary part's length in its first buffer."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    parts = [(JSON_CHUNK, text + b" " * (-len(text) % 4))]
    if binary:
        parts.append((BIN_CHUNK, binary + bytes(-len(binary) % 4)))
    body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in parts)
    return struct.pack("<4sII", MAGIC, VERSION, 12 + len(body)) + body


def morphs(document: Document) -> dict[int, list[int | None]]:
    """Which meshes can be animated.

    Returns:
        Mesh number -> for each of its morph targets the column of ``CoefficientTrack.values``, or None for a target
        that is none of the 52. Names are compared without regard to case; meshes without any of them are left out.
    """
    found = {}
    for number, mesh in enumerate(document.get("meshes", ())):
        targets = max((len(part.get("targets", ())) for part in mesh.get("primitives", ())), default=0)
        names = mesh.get("extras", {}).get("targetNames", []) if isinstance(mesh.get("extras", {}), dict) else []
        columns = [_PLACES.get(str(name).lower()) for name in names[:targets]]
        columns += [None] * (targets - len(columns))
        if any(column is not None for column in columns):
            found[number] = columns
    return found


def animate(
    content: bytes, track: CoefficientTrack, where: str, name: str = "speech", source_type: str | None = None
) -> bytes:
    """Write a track into a GLB as one animation; everything else of the file stays as it is.

    Targets that are none of the 52 keep the weights that the file gives them.

    Args:
        content: a GLB whose meshes name their morph targets (``mesh.extras.targetNames``).
        track: at least one row.
        where: the file's name, for errors.
        name: the animation's name.
        source_type: IPTC digital source type to state as XMP, a URL; None states none.

    Returns:
        The new GLB.

    Raises:
        DataError: not a GLB, or no mesh with one of the 52 names, or an empty or too long track.
    """
    document, binary = read_glb(content, where)
    try:
        meshes = morphs(document)
        nodes = [n for n, node in enumerate(document.get("nodes", ())) if node.get("mesh") in meshes]
        if not nodes:
            raise DataError(
                f"{where} has no mesh with ARKit's morph targets: name them in mesh.extras.targetNames "
                f"({COEFFICIENTS[0]}, …), as Blender's exporter does for shape keys"
            )
        return _animated(document, binary, track, meshes, nodes, name, source_type, where)
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, OverflowError) as error:
        raise DataError(f"{where} is no valid glTF ({type(error).__name__}: {error}); export it again") from error


def _animated(
    document: Document,
    binary: bytes,
    track: CoefficientTrack,
    meshes: dict[int, list[int | None]],
    nodes: list[int],
    name: str,
    source_type: str | None,
    where: str,
) -> bytes:
    seconds = track.seconds.astype(np.float32)
    if not len(seconds) or not (np.diff(seconds) > 0).all():
        raise DataError(f"{len(seconds)} rows cannot be animated in {where}: none at all, or too long for glTF's times")
    added = _Added(document, binary)
    times = added.accessor(seconds[:, None], "SCALAR", bounds=True)
    samplers: list[Document] = []
    channels: list[Document] = []
    for node in nodes:
        mesh = document["nodes"][node]["mesh"]
        rest = document["nodes"][node].get("weights") or document["meshes"][mesh].get("weights")
        output = added.accessor(_weights(track.values, meshes[mesh], rest), "SCALAR")
        samplers.append({"input": times, "interpolation": "LINEAR", "output": output})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": "weights"}})
    animation = {"name": name, "samplers": samplers, "channels": channels}
    document.setdefault("animations", []).append(animation)
    if source_type is not None:
        _state_source(document, source_type)
    return write_glb(document, added.finish())


def _weights(values: Float, columns: list[int | None], rest: list[float] | None) -> Float:
    """``[T, targets]``: all targets of a row in the mesh's order."""
    table = np.zeros((len(values), len(columns)), np.float32)
    for place, column in enumerate(columns):
        if column is not None:
            table[:, place] = values[:, column]
        elif rest is not None and place < len(rest):
            if not abs(rest[place]) < np.finfo(np.float32).max:
                raise ValueError(f"a morph target's weight of {rest[place]}")
            table[:, place] = rest[place]
    return table


class _Added:
    """Accessors appended to a document, in its own binary buffer or, where that is not possible, in a new one."""

    def __init__(self, document: Document, binary: bytes) -> None:
        self._document = document
        buffers = document.setdefault("buffers", [])
        # Only the first buffer may be the binary chunk; a file whose first one lies elsewhere gets a data URI.
        self._inside = not buffers or "uri" not in buffers[0]
        self._old = binary
        self._data = bytearray(binary if self._inside else b"")
        if not buffers:
            buffers.append({"byteLength": 0})
        if not self._inside:
            buffers.append({"byteLength": 0})
        self._buffer = 0 if self._inside else len(buffers) - 1

    def accessor(self, table: Float, kind: str, bounds: bool = False) -> int:
        """Append ``[rows, n]`` float32 as one accessor; its number."""
        self._data += bytes(-len(self._data) % 4)
        raw = np.ascontiguousarray(table, "<f4").tobytes()
        views = self._document.setdefault("bufferViews", [])
        views.append({"buffer": self._buffer, "byteOffset": len(self._data), "byteLength": len(raw)})
        self._data += raw
        accessor: Document = {
            "bufferView": len(views) - 1,
            "componentType": FLOAT,
            "count": int(table.size),
            "type": kind,
        }
        if bounds:
            accessor |= {"min": [float(table.min())], "max": [float(table.max())]}
        accessors = self._document.setdefault("accessors", [])
        accessors.append(accessor)
        return len(accessors) - 1

    def finish(self) -> bytes:
        """State the buffer's new length; the binary chunk to write."""
        buffer = self._document["buffers"][self._buffer]
        buffer["byteLength"] = len(self._data)
        if self._inside:
            return bytes(self._data)
        buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(self._data).decode()
        return self._old


def _state_source(document: Document, source_type: str) -> None:
    """XMP that says how the animation came about, on the asset (KHR_xmp_json_ld)."""
    used = document.setdefault("extensionsUsed", [])
    if XMP not in used:
        used.append(XMP)
    packets = document.setdefault("extensions", {}).setdefault(XMP, {}).setdefault("packets", [])
    asset = document["asset"].setdefault("extensions", {})
    mark = {"Iptc4xmpExt:DigitalSourceType": source_type, "xmp:CreatorTool": "kouxing"}
    if XMP in asset:
        packet = packets[asset[XMP]["packet"]]
        packet.setdefault("@context", {}).update(XMP_CONTEXT)
        packet.update(mark)
    else:
        asset[XMP] = {"packet": len(packets)}
        packets.append({"@context": dict(XMP_CONTEXT), **mark})
