"""A GLB's meshes as arrays that follow the coefficients: any file whose morph targets bear ARKit's names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from kouxing.arkit import COEFFICIENTS
from kouxing.errors import DataError, MediaError
from kouxing.export import gltf
from kouxing.export.glb import Glb, read_glb
from kouxing.types import Bytes, Float

Matrix = NDArray[np.float64]

TRIANGLES = 4
PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu")
"""Extensions that are not read here: a file that needs one shows nothing without it."""
DEEPEST = 64
"""Nodes nested deeper are taken for a loop."""

MOST_TEXTURE_PX = 1024

FARTHEST = 1e9
"""A point as far away, in metres, is none."""


@dataclass(frozen=True)
class Part:
    """One primitive in world space.

    Attributes:
        name: of the material, empty where it has none.
        points: ``[N, 3] float32`` metres, y up, at rest.
        faces: ``[F, 3] int64`` counter-clockwise from outside.
        moves: ``[3 N, 52]`` sparse float32: what each coefficient at 1 adds to the points, columns as
            ``arkit.COEFFICIENTS``.
        normals: ``[N, 3] float32`` at rest, or None where the file has none.
        colours: ``[N, 4] float32``, linear RGB and opacity (vertex colour x base colour).
        roughness: 0 mirror .. 1 matt.
        texture: ``[H, W, 3] uint8`` sRGB, or None; uv: ``[N, 2] float32``, v down.
        lit: False for pictures that already hold their light (KHR_materials_unlit).
        double_sided: seen from behind too.
    """

    name: str
    points: Float
    faces: NDArray[np.int64]
    moves: csr_matrix
    normals: Float | None
    colours: Float
    roughness: float
    texture: Bytes | None
    uv: Float | None
    lit: bool
    double_sided: bool

    def posed(self, weights: Float) -> Float:
        """Points ``[N, 3]`` under coefficients ``[52]``."""
        if self.moves.nnz == 0:
            return self.points
        return np.asarray(self.points + (self.moves @ weights).reshape(-1, 3), np.float32)


def load(path: Path) -> list[Part]:
    """All triangles of a GLB's default scene, in world space.

    Raises:
        MediaError: missing, broken, or without any triangle. DataError: not a GLB, or none of the targets is ARKit's.
    """
    glb = read_glb(path)
    required = glb.document.get("extensionsRequired")
    packed = [name for name in required if name in PACKED] if isinstance(required, list) else []
    if packed:
        raise DataError(f"{path} is packed with {packed[0]}; export it without Draco or KTX2")
    try:
        columns = gltf.morphs(glb.document)
        world = _world(glb)
        # Numbers too large are told by what comes of them, not by NumPy's warnings.
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [
                _part(glb, primitive, columns.get(node["mesh"], []), _rest(glb, node), _place(glb, number, node, world))
                for number, node in enumerate(glb.document.get("nodes", ()))
                if "mesh" in node and number in world
                for primitive in glb.document["meshes"][node["mesh"]]["primitives"]
                if primitive.get("mode", TRIANGLES) == TRIANGLES and "POSITION" in primitive.get("attributes", {})
            ]
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise MediaError(f"{path} is no valid glTF ({type(error).__name__}: {error}); export it again") from error
    if not parts:
        raise MediaError(f"{path} has no triangles; choose a GLB with a head")
    if not any(part.moves.nnz for part in parts):
        raise DataError(
            f"{path} has no morph targets with ARKit's names (mesh.extras.targetNames: {COEFFICIENTS[0]}, ...); "
            "choose an avatar that has them, or make one with `kouxing avatar`"
        )
    return parts


def _world(glb: Glb) -> dict[int, Matrix]:
    """World matrices ``[4, 4]`` of the default scene's nodes."""
    nodes = glb.document.get("nodes", [])
    scenes = glb.document.get("scenes", [])
    children = {child for node in nodes for child in node.get("children", ())}
    roots = [number for number in range(len(nodes)) if number not in children]
    if scenes:
        roots = scenes[glb.document.get("scene", 0)].get("nodes", [])
    found: dict[int, Matrix] = {}
    waiting = [(root, np.eye(4), 0) for root in roots]
    while waiting:
        number, above, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("nodes nested in a loop")
        found[number] = above @ _local(nodes[number])
        waiting += [(child, found[number], depth + 1) for child in nodes[number].get("children", ())]
    return found


def _local(node: dict[str, Any]) -> Matrix:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


Placed = tuple[Matrix, Matrix | None]
"""A node's world matrix, and its joints' matrices ``[J, 4, 4]`` (which then stand for it) where it has a skin."""


def _place(glb: Glb, number: int, node: dict[str, Any], world: dict[int, Matrix]) -> Placed:
    if "skin" not in node:
        return world[number], None
    skin = glb.document["skins"][node["skin"]]
    joints = np.stack([world.get(joint, np.eye(4)) for joint in skin["joints"]])
    if "inverseBindMatrices" in skin:
        joints = joints @ glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    return world[number], joints


def _rest(glb: Glb, node: dict[str, Any]) -> list[float]:
    return node.get("weights") or glb.document["meshes"][node["mesh"]].get("weights") or []


def _part(glb: Glb, primitive: dict[str, Any], columns: list[int | None], rest: list[float], placed: Placed) -> Part:
    attributes = primitive["attributes"]
    points = np.asarray(glb.array(attributes["POSITION"]), np.float64)
    count = len(points)
    turn = np.broadcast_to(placed[0], (count, 4, 4))
    if placed[1] is not None and "JOINTS_0" in attributes:
        weights = np.asarray(glb.array(attributes["WEIGHTS_0"]), np.float64)
        turn = np.einsum("nj,njab->nab", weights, placed[1][glb.array(attributes["JOINTS_0"]).astype(int)])
    moves = np.zeros((count, 3, len(COEFFICIENTS)), np.float32)
    for number, target in enumerate(primitive.get("targets", ())):
        if "POSITION" not in target:
            continue
        delta = np.asarray(glb.array(target["POSITION"]), np.float64)
        column = columns[number] if number < len(columns) else None
        if column is not None:
            moves[:, :, column] += np.einsum("nab,nb->na", turn[:, :3, :3], delta)
        elif number < len(rest):
            points = points + rest[number] * delta
    points = np.einsum("nab,nb->na", turn[:, :3, :3], points) + turn[:, :3, 3]
    if not (np.abs(points).max(initial=0) < FARTHEST and np.abs(moves).max(initial=0) < FARTHEST):
        raise ValueError("points that are no numbers, or far too far away")
    normals = None
    if "NORMAL" in attributes:
        normals = np.einsum("nab,nb->na", turn[:, :3, :3], glb.array(attributes["NORMAL"]))
        normals = (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    faces = np.arange(count) if "indices" not in primitive else glb.array(primitive["indices"])
    faces = faces[: len(faces) // 3 * 3].astype(np.int64).reshape(-1, 3)
    if len(faces) and faces.max() >= count:
        raise ValueError("a triangle of points that are not there")
    material = glb.document["materials"][primitive["material"]] if "material" in primitive else {}
    metal = material.get("pbrMetallicRoughness", {})
    texture, uv = _texture(glb, metal.get("baseColorTexture"), attributes)
    return Part(
        name=str(material.get("name", "")),
        points=points.astype(np.float32),
        faces=faces,
        moves=csr_matrix(moves.reshape(count * 3, len(COEFFICIENTS))),
        normals=normals,
        colours=_colours(glb, attributes, metal, count),
        roughness=float(metal.get("roughnessFactor", 1.0)),
        texture=texture,
        uv=uv,
        lit="KHR_materials_unlit" not in material.get("extensions", {}),
        double_sided=bool(material.get("doubleSided", False)),
    )


def _colours(glb: Glb, attributes: dict[str, int], metal: dict[str, Any], count: int) -> Float:
    colours = np.ones((count, 4), np.float32)
    if "COLOR_0" in attributes:
        given = glb.array(attributes["COLOR_0"])
        colours[:, : given.shape[1]] = given
    return np.asarray(colours * np.array(metal.get("baseColorFactor", (1, 1, 1, 1))), np.float32)


def _texture(glb: Glb, told: dict[str, Any] | None, attributes: dict[str, int]) -> tuple[Bytes | None, Float | None]:
    if told is None:
        return None, None
    uv = attributes.get(f"TEXCOORD_{told.get('texCoord', 0)}")
    # Where a picture comes in another format alone, the glTF it is for has an extension instead.
    source = glb.document["textures"][told["index"]].get("source")
    image = {} if source is None else glb.document["images"][source]
    if uv is None or "bufferView" not in image:
        return None, None
    raw = np.frombuffer(glb.bytes_of(image["bufferView"]), np.uint8)
    decoded = cv2.imdecode(raw, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("a texture that is neither PNG nor JPEG")
    # The software pipe wants sides that are powers of two.
    height, width = (min(1 << (side - 1).bit_length(), MOST_TEXTURE_PX) for side in decoded.shape[:2])
    if (height, width) != decoded.shape[:2]:
        decoded = cv2.resize(decoded, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), np.asarray(glb.array(uv), np.float32)
