"""The head's outer form as a distance field, in cm: x to the character's left, y up, z out of the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EYE = np.array([3.2, 1.0, 6.15])
"""Middle of the left eyeball; the right one mirrors it."""
EYEBALL = 1.52
MOUTH_Y = -5.2
NECK_END = -15.0


def ellipsoid(p: Array, middle: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    """Signed distance, close enough to the surface for marching."""
    q = (p - np.array(middle)) / np.array(radii)
    k0 = np.linalg.norm(q, axis=-1)
    k1 = np.linalg.norm(q / np.array(radii), axis=-1)
    return k0 * (k0 - 1) / np.maximum(k1, 1e-9)


def capsule(p: Array, a: tuple[float, float, float], b: tuple[float, float, float], ra: float, rb: float) -> Array:
    """A rod with ends of different radius."""
    start, axis = np.array(a), np.array(b) - np.array(a)
    t = np.clip(((p - start) @ axis) / (axis @ axis), 0, 1)
    return np.linalg.norm(p - start - t[..., None] * axis, axis=-1) - (ra + (rb - ra) * t)


def union(a: Array, b: Array, k: float) -> Array:
    """Smooth union (Quilez' polynomial form): ``k`` is the width of the blend."""
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def minus(a: Array, b: Array, k: float) -> Array:
    """Smooth ``a`` without ``b``."""
    return -union(-a, b, k)


def distance(p: Array) -> Array:
    """Distance to the skin, without lips, lids and ears: ``[..., 3]`` -> ``[...]``."""
    p = p.copy()
    p[..., 0] = np.abs(p[..., 0])
    d = ellipsoid(p, (0, 3.4, -1.4), (7.5, 8.2, 9.0))
    d = union(d, ellipsoid(p, (0, -1.4, 1.4), (6.7, 8.6, 6.7)), 2.0)
    d = union(d, ellipsoid(p, (0, -8.0, 5.05), (2.0, 1.6, 2.0)), 3.2)
    d = union(d, capsule(p, (4.0, -5.4, 0.5), (1.6, -7.9, 5.0), 1.0, 1.0), 3.0)
    d = union(d, ellipsoid(p, (3.5, -2.4, 4.7), (2.5, 2.0, 2.3)), 2.4)
    d = union(d, capsule(p, (0.6, 3.2, 6.6), (3.4, 3.0, 5.9), 0.9, 0.8), 2.0)
    d = union(d, ellipsoid(p, (0, MOUTH_Y + 0.1, 5.8), (2.7, 2.1, 2.2)), 1.8)
    d = minus(d, ellipsoid(p, (3.2, 1.0, 9.1), (2.2, 1.3, 2.0)), 1.4)
    d = union(d, capsule(p, (0, 2.0, 6.9), (0, -1.9, 8.7), 0.55, 0.8), 1.1)
    d = union(d, ellipsoid(p, (0, -2.2, 8.9), (0.9, 0.8, 0.85)), 0.8)
    d = union(d, ellipsoid(p, (0.95, -2.5, 8.0), (0.62, 0.58, 0.8)), 0.6)
    # The groove from the nose to the lip, and the dent under the lower lip.
    d = minus(d, capsule(p, (0, -3.4, 8.6), (0, -4.4, 8.7), 0.22, 0.24), 0.6)
    d = minus(d, ellipsoid(p, (0, -7.0, 8.9), (1.6, 0.45, 0.8)), 0.9)
    d = union(d, capsule(p, (0, -4.0, -2.0), (0, -17.0, -2.9), 4.2, 4.3), 2.8)
    return d


def march(origin: Array, direction: Array, start: float, steps: int = 40) -> Array:
    """Where rays from inside leave the skin: ``[N, 3]`` points."""
    t = np.full(len(origin), start)
    for _ in range(steps):
        t -= 0.8 * distance(origin + t[:, None] * direction)
    return origin + t[:, None] * direction


def front(xy: Array) -> Array:
    """The skin's points ``[N, 3]`` seen from the front at ``[N, 2]``."""
    low, high = np.zeros(len(xy)), np.full(len(xy), 14.0)
    # From the front inward to the first crossing, then halved.
    grid = np.linspace(14, 0, 57)
    points = np.repeat(np.concatenate([xy, np.zeros((len(xy), 1))], 1)[:, None], len(grid), 1)
    points[..., 2] = grid
    inside = distance(points) < 0
    first = np.where(inside.any(1), inside.argmax(1), len(grid) - 1)
    low, high = grid[first], grid[np.maximum(first - 1, 0)]
    for _ in range(22):
        mid = (low + high) / 2
        within = distance(np.concatenate([xy, mid[:, None]], 1)) < 0
        low, high = np.where(within, mid, low), np.where(within, high, mid)
    return np.concatenate([xy, low[:, None]], 1)


CENTRE = np.array([0.0, -0.5, 0.0])
BEND = np.deg2rad(-32)
"""Rays below this elevation start ever lower and turn level, so that they trace chin, throat and neck."""
NECK_SPAN = np.deg2rad(58)
SCALE = 8.0
"""cm of the unrolled map per radian."""


def ray(chart: Array) -> tuple[Array, Array]:
    """Origin and direction of the rays of map points ``[N, 2]`` (azimuth x SCALE, height)."""
    azimuth, v = chart[:, 0] / SCALE, chart[:, 1] / SCALE
    down = np.clip((BEND - v) / NECK_SPAN, 0, 1)
    elevation = np.where(v >= BEND, v, BEND * (1 - down))
    origin = np.tile(CENTRE, (len(chart), 1))
    origin[:, 1] -= (down**1.15) * (CENTRE[1] - NECK_END)
    origin[:, 2] -= 1.8 * down
    flat = np.cos(elevation)
    return origin, np.stack([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat], -1)


def unroll(chart: Array) -> Array:
    """Map -> skin."""
    origin, direction = ray(chart)
    return march(origin, direction, 7.0)


def roll(points: Array) -> Array:
    """Skin -> map, by Newton steps on the map's own rays (points of the face only)."""
    q = points - CENTRE
    chart = np.stack([np.arctan2(q[:, 0], q[:, 2]), np.arctan2(q[:, 1], np.hypot(q[:, 0], q[:, 2]))], -1) * SCALE
    for _ in range(12):
        origin, direction = ray(chart)
        # Nearest place of the ray to the wanted point, and what is missing across it.
        t = np.sum((points - origin) * direction, 1)
        miss = points - origin - t[:, None] * direction
        side = np.stack([direction[:, 2], np.zeros(len(chart)), -direction[:, 0]], -1)
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
        up = np.cross(direction, side)
        step = np.stack([np.sum(miss * side, 1), np.sum(miss * up, 1)], -1) / t[:, None] * SCALE
        chart += 0.7 * np.clip(step, -2, 2)
    return chart
