"""The face of a photo as a mesh that follows the coefficients: 468 points, at rest with closed lips, and their moves.

Coordinates here: metres, x to the person's left, y up, z out of the picture, origin in the middle of the face; the head
stays turned as it is in the photo.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import NO_ARRAYS, WeightError
from kouxing.face import frontal
from kouxing.face.landmarks import INNER_LIP, OUTER_LIP
from kouxing.types import Float

POINTS = 468
EYE_M = 0.063
"""Distance of the eyes of a grown person."""

RIGHT_LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_LIDS = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""The eyes' openings from the outer corner along the lower lid to the inner one and back along the upper lid."""

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The mesh's edge, from the brow's middle over the person's left side and the chin."""

FLIP = np.array([1.0, -1.0, -1.0])
"""Picture axes (x right, y down, z away) to ours."""

UNDONE = {
    "jawOpen": 1.0, "jawForward": 1.0, "jawLeft": 1.0, "jawRight": 1.0, "mouthFunnel": 1.0, "mouthPucker": 1.0,
    "mouthLeft": 1.0, "mouthRight": 1.0, "mouthRollLower": 1.0, "mouthRollUpper": 1.0, "mouthLowerDownLeft": 1.0,
    "mouthLowerDownRight": 1.0, "mouthUpperUpLeft": 1.0, "mouthUpperUpRight": 1.0, "mouthStretchLeft": 1.0,
    "mouthStretchRight": 1.0, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5,
}  # fmt: skip
"""What of the photo's expression is taken out of the face at rest. Half a smile stays: its folds are in the picture."""

LID_REACH, LIP_REACH = 0.13, 0.28
"""How far around a lid or lip the skin comes along, in eye distances."""


@dataclass(frozen=True)
class Moves:
    """What ``recipes/photo_face.py`` learned; lengths in eye distances.

    Attributes:
        moves: ``[52, 468, 3]``. shape: ``[468, 3]`` the mean face. reference: ``[30, 3]`` for ``face.frontal``.
        faces: ``[F, 3]``, counter-clockwise from the front.
    """

    moves: Float
    shape: Float
    reference: Float
    faces: NDArray[np.int64]


@dataclass(frozen=True)
class Face:
    """A photo's face.

    Attributes:
        points: ``[468, 3] float64`` metres at rest. moves: ``[52, 468, 3]`` metres. faces: ``[F, 3]``.
        turn: ``[3, 3]``: from a face that looks straight ahead to the photo's.
        pixels: ``[478, 2]`` where the points lie in the photo.
        metres_per_px: scale. middle_px: ``[2]`` the origin in the photo.
    """

    points: Float
    moves: Float
    faces: NDArray[np.int64]
    turn: Float
    pixels: Float
    metres_per_px: float
    middle_px: Float

    def of_pixels(self, pixels: Float, z: Float | float = 0.0) -> Float:
        """Photo pixels ``[N, 2]`` at depth ``z`` -> ``[N, 3]`` metres."""
        flat = (pixels - self.middle_px) * self.metres_per_px
        return np.column_stack([flat[:, 0], -flat[:, 1], np.broadcast_to(z, len(flat))])


@lru_cache(maxsize=1)
def learned() -> Moves:
    """The shipped movements.

    Raises:
        WeightError: the package is incomplete.
    """
    place: Any = files("kouxing") / "assets" / "face_moves.npz"
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as told:
            moves = Moves(
                told["moves"].astype(np.float64), told["shape"], told["reference"], told["faces"].astype(np.int64)
            )
        card = json.loads((files("kouxing") / "assets" / "face_moves.json").read_text(encoding="utf-8"))
    except NO_ARRAYS as error:
        raise WeightError(f"{place} is missing or damaged: install kouxing again") from error
    if card.get("units", {}).get("names") != list(COEFFICIENTS) or moves.moves.shape != (len(COEFFICIENTS), POINTS, 3):
        raise WeightError(f"{place} does not fit this program: install kouxing again")
    return moves


def fit(points: Float, values: Float) -> Face:
    """Make a face out of a mesh.

    Args:
        points: ``[478, 3]`` in photo pixels (``face.mesh.MeshTracker``).
        values: ``[52]`` the photo's own coefficients (``face.coefficients.Regressor``).
    """
    told = learned()
    rotation, scale, _, _ = frontal.pose(points[None].astype(np.float64), told.reference)
    turn = np.diag(FLIP) @ rotation[0].T @ np.diag(FLIP)
    metres = float(scale[0]) * EYE_M
    middle = points[list(OVAL)].mean(0)
    here = (points[:POINTS] - middle) * FLIP * metres
    moves = told.moves * EYE_M
    lips = [place for name, place in PLACE.items() if name.startswith("mouth")]
    moves[lips] *= [_breadth(here @ turn, told), 1.0, 1.0]
    moves = moves @ turn.T
    shown = np.array([UNDONE.get(name, 0.0) for name in COEFFICIENTS]) * values
    here = here - np.einsum("c,cpx->px", shown, moves)
    here = here + meet(here, *_lips(), share=0.3, reach=LIP_REACH * EYE_M)
    moves[PLACE["mouthClose"]] = meet(here + moves[PLACE["jawOpen"]], *_lips(), share=0.35, reach=LIP_REACH * EYE_M)
    for name, row in (("eyeBlinkLeft", LEFT_LIDS), ("eyeBlinkRight", RIGHT_LIDS)):
        moves[PLACE[name]] += _shut(here + moves[PLACE[name]], row, turn)
    return Face(here, moves, _facing(told), turn, points[:, :2].astype(np.float64), metres, middle[:2])


def _breadth(points: Float, told: Moves) -> float:
    """How much broader the mouth is than the mean one: broad mouths have a longer way to a narrow one."""
    corners = [OUTER_LIP[0], OUTER_LIP[len(OUTER_LIP) // 2]]
    own, mean = (float(np.ptp(p[corners, 0])) for p in (points / EYE_M, told.shape))
    return float(np.clip(own / mean, 0.8, 1.5))


def _facing(told: Moves) -> NDArray[np.int64]:
    """The triangles, all looking out of the mean face."""
    corner = told.shape[told.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    faces = told.faces.copy()
    faces[normal[:, 2] < 0] = faces[normal[:, 2] < 0][:, ::-1]
    return faces


def _lips() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Upper and lower inner lip, place by place."""
    half = len(INNER_LIP) // 2
    return tuple(INNER_LIP[-k] for k in range(1, half)), tuple(INNER_LIP[k] for k in range(1, half))


def meet(points: Float, upper: tuple[int, ...], lower: tuple[int, ...], share: float, reach: float) -> Float:
    """What brings two rims together, and the skin near them along.

    Args:
        points: ``[468, 3]``. upper, lower: points that shall meet, pair by pair.
        share: of the way that the upper rim goes. reach: how far the skin comes along, in the unit of ``points``.

    Returns:
        ``[468, 3]``.
    """
    gap = points[list(lower)] - points[list(upper)]
    rest = learned().shape.astype(np.float64)
    reach = reach / EYE_M
    far = [np.linalg.norm(rest[:, None] - rest[list(rim)], axis=2) for rim in (upper, lower)]
    # Skin belongs to the rim that is nearer on the mean face, whose eyes and lips are apart.
    mine = far[0].min(1) <= far[1].min(1)
    out = np.zeros_like(points)
    for distance, way, members in ((far[0], share * gap, mine), (far[1], (share - 1) * gap, ~mine)):
        weight = 1 / (distance + 0.004) ** 3
        field = weight @ way / weight.sum(1, keepdims=True)
        out[members] = (field * np.exp(-((distance.min(1) / reach) ** 2))[:, None])[members]
    return out


def _shut(points: Float, row: tuple[int, ...], turn: Float) -> Float:
    """What is missing until the lids meet; the upper one a little in front of the eye."""
    half = len(row) // 2
    upper, lower = tuple(row[-k] for k in range(1, half)), tuple(row[k] for k in range(1, half))
    out = meet(points, upper, lower, share=0.9, reach=LID_REACH * EYE_M)
    bulge = 0.05 * np.linalg.norm(points[row[0]] - points[row[half]])
    rest = learned().shape
    distance = np.linalg.norm(rest[:, None] - rest[list(upper)], axis=2).min(1)
    swell = np.exp(-((distance / 0.08) ** 2)) * bulge
    swell[[row[0], row[half]]] *= 0.3
    return out + swell[:, None] * turn[:, 2]


def uv_pixels(face: Face) -> Float:
    """Where in the photo each of the 468 points takes its colour: inner lips a little from inside the lip."""
    pixels = face.pixels[:POINTS].copy()
    for inner, outer in zip(INNER_LIP, OUTER_LIP, strict=True):
        pixels[inner] += 0.15 * (face.pixels[outer] - face.pixels[inner])
    return pixels
