"""A talking head as one glTF mesh: primitives that share the 52 morph targets, with normals that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS
from kouxing.export.glb import ARRAY_BUFFER, ELEMENT_BUFFER, Document, Glb
from kouxing.types import Float

LEAST_MOVE = 2e-5
"""Metres; targets leave a point where it is below that."""

LEAST_TILT = 0.03
"""Targets change a normal by at least so much or not at all."""


@dataclass(frozen=True)
class Primitive:
    """Triangles of one material.

    Attributes:
        points: ``[N, 3]`` metres, y up, the face towards +z.
        faces: ``[F, 3]`` counter-clockwise from outside.
        moves: ``[52, N, 3]`` metres, what each coefficient at 1 adds, in ``arkit.COEFFICIENTS``' order.
        material: number of the glTF material.
        colours: ``[N, 3]`` linear 0..1, or None.
        uv: ``[N, 2]`` with v down, or None.
        seams: ``[N]`` points with the same number share a normal; None: each has its own.
        lit: False for pictures that already hold their light: they get no normals.
    """

    points: Float
    faces: NDArray[np.int64]
    moves: Float
    material: int
    colours: Float | None = None
    uv: Float | None = None
    seams: NDArray[np.int64] | None = None
    lit: bool = True


def normals(points: Float, faces: NDArray[np.int64], seams: NDArray[np.int64] | None = None) -> Float:
    """Unit normals ``[N, 3]``, means of the faces around weighted by area; lone points look along +z."""
    corner = points[faces]
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    sums = np.zeros((len(points), 3))
    home = faces if seams is None else seams[faces]
    for k in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(home[:, k], area[:, axis], minlength=len(points))
    if seams is not None:
        sums = sums[seams]
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(length > 1e-14, sums / np.maximum(length, 1e-14), [0.0, 0.0, 1.0]).astype(np.float32)


def add_mesh(glb: Glb, primitives: Sequence[Primitive], name: str) -> int:
    """Add a mesh with the 52 named targets; returns its number.

    Raises:
        ValueError: shapes that do not fit together.
    """
    rows = [_primitive(glb, primitive) for primitive in primitives]
    mesh: Document = {
        "name": name,
        "primitives": rows,
        "weights": [0.0] * len(COEFFICIENTS),
        "extras": {"targetNames": list(COEFFICIENTS)},
    }
    return glb.append("meshes", mesh)


def _primitive(glb: Glb, primitive: Primitive) -> Document:
    points = np.asarray(primitive.points, np.float32)
    count = len(points)
    if primitive.moves.shape != (len(COEFFICIENTS), count, 3):
        raise ValueError(f"moves must be {(len(COEFFICIENTS), count, 3)}, got {primitive.moves.shape}")
    rest = normals(points, primitive.faces, primitive.seams)
    attributes = {"POSITION": glb.add_accessor(points, "VEC3", ARRAY_BUFFER, limits=True)}
    if primitive.lit:
        attributes["NORMAL"] = glb.add_accessor(rest, "VEC3", ARRAY_BUFFER)
    if primitive.colours is not None:
        attributes["COLOR_0"] = glb.add_accessor(_opaque(primitive.colours), "VEC4", ARRAY_BUFFER)
        glb.document["accessors"][attributes["COLOR_0"]]["normalized"] = True
    if primitive.uv is not None:
        attributes["TEXCOORD_0"] = glb.add_accessor(np.asarray(primitive.uv, np.float32), "VEC2", ARRAY_BUFFER)
    flat = primitive.faces.reshape(-1).astype(np.uint16 if count < 1 << 16 else np.uint32)
    nothing: int | None = None
    targets = []
    for move in np.asarray(primitive.moves, np.float32):
        kept = np.where(np.linalg.norm(move, axis=1, keepdims=True) >= LEAST_MOVE, move, 0).astype(np.float32)
        changes = {"POSITION": kept}
        if primitive.lit:
            tilt = normals(points + kept, primitive.faces, primitive.seams) - rest
            changes["NORMAL"] = np.where(np.linalg.norm(tilt, axis=1, keepdims=True) < LEAST_TILT, 0, tilt)
        if not kept.any():
            # All targets that leave this primitive alone share one accessor of zeros.
            nothing = glb.add_sparse(kept) if nothing is None else nothing
            targets.append(dict.fromkeys(changes, nothing))
        else:
            targets.append({name: glb.add_sparse(change) for name, change in changes.items()})
    row: dict[str, Any] = {
        "attributes": attributes,
        "indices": glb.add_accessor(flat, "SCALAR", ELEMENT_BUFFER),
        "material": primitive.material,
        "targets": targets,
    }
    return row


def _opaque(colours: Float) -> NDArray[np.uint8]:
    """``[N, 3]`` linear -> ``[N, 4] uint8`` (four bytes, because rows must start on multiples of 4)."""
    rows = np.full((len(colours), 4), 255, np.uint8)
    rows[:, :3] = np.clip(np.round(np.asarray(colours) * 255), 0, 255)
    return rows


def linear(srgb: NDArray[Any]) -> Float:
    """sRGB 0..255 -> linear 0..1."""
    x = np.clip(np.asarray(srgb, np.float64) / 255, 0, 1)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)
