"""How far coefficients hold the lips apart: one number, 0 where they touch (methods.md section 2, distance d)."""

from __future__ import annotations

import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.types import Float

OPENING = {
    "mouthUpperUpLeft": 0.17,
    "mouthUpperUpRight": 0.17,
    "mouthLowerDownLeft": 0.19,
    "mouthLowerDownRight": 0.19,
}
PRESS = {
    "mouthPressLeft": 0.03,
    "mouthPressRight": 0.03,
    "mouthRollLower": 0.15,
    "mouthShrugLower": 0.20,
}
"""Weights of d, fitted once to the tracked inner-lip gap of the training footage by ``recipes/lip_distance.py``
(non-negative least squares, clips centred; pooled r 0.89, 0.97 in the studio). mouthRollUpper and mouthShrugUpper came
out as 0."""

PER_FACE_WIDTH = 3.28
"""Units of d per face width of inner-lip gap, from the same fit: jawOpen's own weight is 1."""

FACE_WIDTH_PX = 171.0
"""Width of a face in its upright crop (median of the training footage, 10th to 90th percentile 161 to 183)."""

PER_CROP_PX = PER_FACE_WIDTH / FACE_WIDTH_PX
"""Units of d per crop pixel of opening (``face.geometry.opening``)."""

TYPICAL_GAP = 0.083
"""Inner-lip gap, in face widths, that a speaker stays under 95 % of the time (median of the training footage)."""

TYPICAL_DISTANCE = PER_FACE_WIDTH * TYPICAL_GAP

CLOSED_SHARE = 0.12
"""Lips count as closed under this share of a clip's 95th percentile."""

CLOSED_DISTANCE = CLOSED_SHARE * TYPICAL_DISTANCE
"""Predicted lips count as closed under this distance. It follows from the numbers above; nothing is fitted to it."""


def distance_weights() -> Float:
    """``[52] float32``: d is the product of a row of coefficients with these."""
    weights = np.zeros(len(COEFFICIENTS), np.float32)
    weights[PLACE["jawOpen"]], weights[PLACE["mouthClose"]] = 1.0, -1.0
    for name, weight in OPENING.items():
        weights[PLACE[name]] = weight
    for name, weight in PRESS.items():
        weights[PLACE[name]] = -weight
    return weights


def lip_distance(values: Float) -> Float:
    """Distance of the lips; 0 (or less: pressed) where they touch, about 0.27 in wide open speech.

    Args:
        values: ``[..., 52]`` coefficients, columns as ``arkit.COEFFICIENTS``.

    Returns:
        ``[...] float32``.
    """
    return np.asarray(values @ distance_weights(), np.float32)


def drawn_together(distance: Float, under: float, typical: float = TYPICAL_DISTANCE) -> Float:
    """Distances stretched away from the typical one, which stays, until near ones count as closed.

    What lies below falls with its square: no step and no order is lost, so that a curve keeps its shape.

    Args:
        distance: ``[...]``, negative where lips are pressed.
        under: what becomes just closed (``CLOSED_SHARE`` of ``typical``).
        typical: in the unit of both.
    """
    closed = CLOSED_SHARE * typical
    steep = (typical - closed) / (typical - under)
    stretched = np.minimum(distance, typical - steep * (typical - distance))
    near = closed * np.square(np.maximum(distance, 0) / under) + np.minimum(distance, 0)
    return np.asarray(np.where(distance < under, near, stretched), np.float32)
