"""Mesh points -> ARKit's coefficients, by our own small network that was trained against MediaPipe's."""

from __future__ import annotations

import numpy as np

from kouxing import weights
from kouxing.arkit import COEFFICIENTS, FROM_MEDIAPIPE, PLACE, ROTATIONS
from kouxing.errors import WeightError
from kouxing.face.frontal import STEADY, frontal, head_angles
from kouxing.face.graphs import MESH_POINTS
from kouxing.types import Float

POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70,
    78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149,
    150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195,
    197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300,
    308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375,
    377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454,
    466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip
"""Points that the network reads: those that MediaPipe's own coefficients are computed from (its blend shape graph)."""

LIP_UPPER, LIP_LOWER = POINTS.index(13), POINTS.index(14)
EDGE_RIGHT, EDGE_LEFT = POINTS.index(234), POINTS.index(454)

YAW_PER_LOOK, PITCH_PER_LOOK = 0.63, 0.47
"""Radians per unit of eyeLook…: medians of least squares over four real Live Link Face takes (correlation 0.94 to 1.0,
one eye of one take 0.67)."""


class Regressor:
    """Reads coefficients off meshes.

    Args:
        threads: CPU threads; by default those of ``weights.session``.

    Raises:
        WeightError: the weights are missing, damaged, or made for other points.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._session, self.card = weights.session("coefficients", threads=threads)
        dimensions = self.card["dimensions"]
        if list(dimensions.get("points", ())) != list(POINTS):
            raise WeightError("weights coefficients: made for other mesh points; use those of this release")
        self.reference = np.array(dimensions["reference"], np.float32).reshape(len(STEADY), 3)

    def read(self, points: Float) -> tuple[Float, Float, Float]:
        """Coefficients of some frames.

        Args:
            points: ``[T, 478, 3]`` in pixels (``face.mesh``), finite.

        Returns:
            values ``[T, 52] float32`` 0..1; head yaw, pitch, roll ``[T, 3] float32`` radians
            (``frontal.head_angles``); inner-lip gap over face width ``[T] float32``, both measured in depth too.
        """
        if points.ndim != 3 or points.shape[1:] != (MESH_POINTS, 3):
            raise ValueError(f"points must be [T, {MESH_POINTS}, 3], got {points.shape}")
        shape, rotation = frontal(points, self.reference, POINTS)
        (made,) = self._session.run(["coefficients"], {"points": shape})
        values = np.zeros((len(points), len(COEFFICIENTS)), np.float32)
        values[:, FROM_MEDIAPIPE] = np.clip(made, 0, 1)
        return values, head_angles(rotation), aperture(shape)


def aperture(shape: Float) -> Float:
    """Inner-lip gap over face width ``[T] float32`` of ``[T, len(POINTS), 3]``."""
    gap = np.linalg.norm(shape[:, LIP_LOWER] - shape[:, LIP_UPPER], axis=-1)
    width = np.linalg.norm(shape[:, EDGE_LEFT] - shape[:, EDGE_RIGHT], axis=-1)
    return np.asarray(gap / np.maximum(width, 1e-6), np.float32)


def rotations(values: Float, head: Float) -> Float:
    """All nine angles of a track.

    Args:
        values: ``[T, 52]``. head: ``[T, 3]`` radians.

    Returns:
        ``[T, 9] float32`` as ``arkit.ROTATIONS``: the eyes' angles follow from where they look; no roll.
    """
    made = np.zeros((len(values), len(ROTATIONS)), np.float32)
    made[:, :3] = head

    def look(way: str, side: str) -> Float:
        return values[:, PLACE[f"eyeLook{way}{side}"]]

    for first, side, outwards in ((3, "Left", -1.0), (6, "Right", 1.0)):
        made[:, first] = outwards * YAW_PER_LOOK * (look("Out", side) - look("In", side))
        made[:, first + 1] = PITCH_PER_LOOK * (look("Down", side) - look("Up", side))
    return made
