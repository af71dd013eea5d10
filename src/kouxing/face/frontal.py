"""A mesh without its head pose: turned to the front, of one size, in place; and how the head was turned."""

from __future__ import annotations

import numpy as np

from kouxing.types import Float

STEADY = (
    10, 151, 9, 8, 168, 6, 197, 195, 5, 4,
    109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454,
    33, 133, 362, 263,
)  # fmt: skip
"""Mesh points that faces hardly move: forehead, bridge and tip of the nose, temples, face edges, eye corners."""

_RIGHT_EYE, _LEFT_EYE = slice(26, 28), slice(28, 30)


def pose(points: Float, reference: Float) -> tuple[Float, Float, Float, Float]:
    """The similarity that brings each row's steady points onto ``reference`` (Procrustes, least squares).

    Args:
        points: ``[T, P, 3]``, the mesh or only its ``STEADY`` points (``P`` tells), x right, y down, z away.
        reference: ``[30, 3]``, from ``unit``.

    Returns:
        Rotation ``[T, 3, 3]``, scale ``[T]``, and the middles ``[T, 3]`` before and ``[3]`` after:
        ``(points - before) @ rotation.T * scale + after``.
    """
    steady = _steady(points).astype(np.float64)
    before, after = steady.mean(1), reference.mean(0).astype(np.float64)
    here, there = steady - before[:, None], reference - after
    u, s, vt = np.linalg.svd(np.einsum("tpi,pj->tij", here, there))
    # No mirror: the last axis turns where the determinant would be -1.
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = np.einsum("tji,tj,tkj->tik", vt, sign, u)
    scale = (s * sign).sum(1) / np.maximum((here**2).sum((1, 2)), 1e-9)
    return rotation, scale, before, after


def frontal(points: Float, reference: Float, kept: tuple[int, ...]) -> tuple[Float, Float]:
    """Points without head pose.

    Args:
        points: ``[T, 478, 3]`` in pixels. reference: ``[30, 3]``. kept: which points to return.

    Returns:
        ``[T, K, 3] float32`` in eye distances, and the rotation matrices ``[T, 3, 3] float32`` that were applied.
    """
    rotation, scale, before, after = pose(points, reference)
    moved = (points[:, list(kept)] - before[:, None]) @ rotation.transpose(0, 2, 1) * scale[:, None, None] + after
    return moved.astype(np.float32), rotation.astype(np.float32)


def unit(steady: Float) -> Float:
    """A shape of steady points ``[30, 3]`` around their middle, the eyes one apart and level, facing front.

    Front: nose bridge and forehead to chin upright is left to the average of many faces; here only roll and yaw of
    the eyes' line are taken out.
    """
    right, left = steady[_RIGHT_EYE].mean(0), steady[_LEFT_EYE].mean(0)
    x = (left - right) / np.linalg.norm(left - right)
    z = np.array([0.0, 0.0, 1.0]) - x[2] * x
    z /= np.linalg.norm(z)
    y = np.cross(z, x)
    centred = (steady - steady.mean(0)) @ np.stack([x, y, z], 1)
    return np.asarray(centred / np.linalg.norm(left - right), np.float32)


def average(shapes: Float, rounds: int = 4) -> Float:
    """The mean of many people's steady points (generalised Procrustes).

    Args:
        shapes: ``[N, 30, 3]``, one a person, in any place, size and turn near the front.
    """
    mean = unit(shapes.mean(0))
    for _ in range(rounds):
        rotation, scale, before, after = pose(shapes, mean)
        fitted = (shapes - before[:, None]) @ rotation.transpose(0, 2, 1) * scale[:, None, None] + after
        mean = unit(fitted.mean(0))
    return mean


def head_angles(rotation: Float) -> Float:
    """Yaw, pitch and roll of heads, radians.

    Args:
        rotation: ``[T, 3, 3]`` from ``frontal`` (what turns the head *back* to the front).

    Returns:
        ``[T, 3] float32``: yaw positive towards the person's right, pitch positive downwards (both as the eyes' angles
        in real Live Link Face takes), roll positive towards the person's right shoulder.
    """
    turn = rotation.transpose(0, 2, 1)
    # The face looks along -z (towards the camera); x is the viewer's right, the person's left.
    forward = -turn[:, :, 2]
    yaw = np.arctan2(-forward[:, 0], -forward[:, 2])
    pitch = np.arctan2(forward[:, 1], np.hypot(forward[:, 0], forward[:, 2]))
    across = turn[:, :, 0]
    roll = np.arctan2(-across[:, 1], np.hypot(across[:, 0], across[:, 2]))
    return np.stack([yaw, pitch, roll], 1).astype(np.float32)


def _steady(points: Float) -> Float:
    if points.ndim != 3 or points.shape[2] != 3:
        raise ValueError(f"points must be [T, P, 3], got {points.shape}")
    return points if points.shape[1] == len(STEADY) else points[:, list(STEADY)]
