"""What can be measured on a talking head without drawing it."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.infer.morphs import Part


def pose(**values: float) -> np.ndarray:
    """``[52]`` coefficients by name; ``eyeBlink`` stands for both sides."""
    made = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        for one in [name] if name in PLACE else [name + "Left", name + "Right"]:
            made[PLACE[one]] = value
    return made


def named(parts: list[Part], name: str) -> Part:
    (part,) = [part for part in parts if part.name == name]
    return part


def covered(part: Part, weights: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Which places ``[N, 3]`` lie behind some triangle of ``part``, seen from far in front."""
    points = part.posed(weights).astype(np.float64)
    a, b, c = (points[part.faces[:, k]] for k in range(3))
    hidden = np.zeros(len(spots), bool)
    for number, spot in enumerate(spots):
        u, v, w = b[:, :2] - a[:, :2], c[:, :2] - a[:, :2], spot[:2] - a[:, :2]
        area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            s = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
            t = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
            over = (s >= -1e-9) & (t >= -1e-9) & (s + t <= 1 + 1e-9)
            depth = a[:, 2] + s * (b[:, 2] - a[:, 2]) + t * (c[:, 2] - a[:, 2])
        hidden[number] = bool(np.any(over & (depth > spot[2])))
    return hidden


def rims(part: Part, apart: str = "jawOpen") -> np.ndarray:
    """Pairs ``[P, 2]`` of points that touch at rest and that ``apart`` separates by more than a millimetre."""
    pairs = cKDTree(part.points).query_pairs(1e-5, output_type="ndarray")
    opened = part.posed(pose(**{apart: 1.0}))
    return np.asarray(pairs[np.linalg.norm(opened[pairs[:, 0]] - opened[pairs[:, 1]], axis=1) > 1e-3])


def gap(part: Part, pairs: np.ndarray, weights: np.ndarray) -> float:
    """Largest distance of the pairs, metres."""
    points = part.posed(weights)
    return float(np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1).max())
