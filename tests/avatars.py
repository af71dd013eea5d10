"""Small GLBs with morph targets, made by code as other tools would make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kouxing.export.glb import ARRAY_BUFFER, ELEMENT_BUFFER, Glb

SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * 0.05
FACES = np.array([0, 1, 2, 0, 2, 3], np.uint16)


def square(glb: Glb, names: list[str], moves: list[tuple[float, float, float]], colour: list[float]) -> int:
    """Add a square mesh whose targets shift it as a whole; returns the mesh's number."""
    material = glb.append("materials", {"pbrMetallicRoughness": {"baseColorFactor": colour}})
    targets = [
        {"POSITION": glb.add_accessor(np.tile(np.array(move, np.float32), (4, 1)), "VEC3", ARRAY_BUFFER, limits=True)}
        for move in moves
    ]
    primitive = {
        "attributes": {"POSITION": glb.add_accessor(SQUARE, "VEC3", ARRAY_BUFFER, limits=True)},
        "indices": glb.add_accessor(FACES, "SCALAR", ELEMENT_BUFFER),
        "material": material,
        "targets": targets,
    }
    return glb.append("meshes", {"primitives": [primitive], "extras": {"targetNames": names}})


def scene(glb: Glb, nodes: list[dict[str, Any]]) -> Glb:
    """Put nodes into the default scene."""
    numbers = [glb.append("nodes", node) for node in nodes]
    glb.document["scene"] = glb.append("scenes", {"nodes": numbers})
    return glb


def two_squares() -> Glb:
    """A green square on the left of the picture's middle and a red one on the right; both know jawOpen, in its way."""
    glb = Glb({"asset": {"version": "2.0"}})
    left = square(glb, ["custom", "jawOpen"], [(1, 0, 0), (0, -0.05, 0)], [0, 1, 0, 1])
    right = square(glb, ["JawOpen"], [(0, 0.05, 0)], [1, 0, 0, 1])
    return scene(
        glb,
        [
            {"mesh": left, "translation": [-0.07, 0, 0]},
            {"mesh": right, "translation": [0.07, 0, 0], "scale": [1, 2, 1]},
        ],
    )
