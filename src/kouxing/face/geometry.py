"""Mouth geometry: aligned lip landmarks as displacement from the person's closed mouth, in 16 principal components.

Alignment takes the head's share out (origin between the mouth's corners, their line level, size in eye distances
through the crop), the rest shape takes the person out: 0 is "lips closed and relaxed" for everybody, so a mouth-opening
coefficient is a plain factor.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.types import LIPS, Float

GEOMETRY = 16
"""Principal components of mouth geometry: D of the speech features."""
CORNER_RIGHT, CORNER_LEFT = 0, 10
"""Places of the mouth's corners in ``landmarks.LIP_POINTS``."""
CLOSED_SHARE = 0.15
"""The rest shape is the mean of this share of frames, those with the smallest inner-lip gap."""
CLOSED_GAP_PX = 1.0
"""Inner-lip gap of closed lips in crop pixels (tracker's noise level)."""
BASIS = Path(__file__).with_name("lip_basis.npz")


def align(lips: Float) -> Float:
    """Take position and roll out.

    Args:
        lips: ``[T, 40, 2]`` in crop pixels.

    Returns:
        ``[T, 40, 2] float32``, crop pixels, origin between the corners.
    """
    right, left = lips[:, CORNER_RIGHT], lips[:, CORNER_LEFT]
    line = left - right
    length = np.maximum(np.hypot(line[:, 0], line[:, 1]), 1e-6)
    cos, sin = line[:, 0] / length, line[:, 1] / length
    centred = lips - ((right + left) / 2)[:, None]
    x = centred[..., 0] * cos[:, None] + centred[..., 1] * sin[:, None]
    y = -centred[..., 0] * sin[:, None] + centred[..., 1] * cos[:, None]
    return np.stack([x, y], -1).astype(np.float32)


def gap(lips: Float) -> Float:
    """Inner-lip gap ``[...]`` of lips ``[..., 40, 2]``, in their unit."""
    return np.asarray(np.linalg.norm(lips[..., GAP_LOWER, :] - lips[..., GAP_UPPER, :], axis=-1), np.float32)


@lru_cache(maxsize=1)
def basis() -> tuple[Float, Float]:
    """(components ``[80, 16]`` orthonormal columns, scale ``[16]`` crop pixels per feature unit)."""
    with np.load(BASIS, allow_pickle=False) as file:
        return file["components"], file["scale"]


def fit_basis(displacements: Float) -> tuple[Float, Float]:
    """Principal components of displacements from rest ``[N, 40, 2]`` (not centred: rest must stay at 0).

    Returns:
        As ``basis()``. Scales lie between whitening and none, so that tracker noise in late components stays small.
    """
    flat = displacements.reshape(len(displacements), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    order = np.argsort(values)[::-1][:GEOMETRY]
    spread = np.sqrt(values[order])
    return vectors[:, order].astype(np.float32), np.sqrt(spread * spread[0]).astype(np.float32)


def rest(lips: Float) -> Float:
    """The person's closed mouth, estimated from frames of one clip.

    Args:
        lips: ``[T, 40, 2]`` in crop pixels, T >= 1; rows with NaN are ignored.

    Returns:
        ``[40, 2]`` aligned. Where the clip never closes its lips, what is left of the gap is closed along the vertical
        of the inner and outer ring: both lips meet in the middle.
    """
    aligned = align(lips[np.isfinite(lips).all((1, 2))])
    if len(aligned) == 0:
        raise ValueError("rest needs at least one frame with finite lips")
    gaps = gap(aligned)
    closed = np.argsort(gaps)[: max(1, int(len(gaps) * CLOSED_SHARE))]
    shape = aligned[closed].mean(0)
    return _close(shape)


def _close(shape: Float) -> Float:
    """Shut what is left of the inner-lip gap: each ring moves by half of its own inner gap."""
    closed = shape.copy()
    half = LIPS // 2
    # In both rings place k of the lower lip faces place (half - k) of the upper one.
    for k in range(1, half // 2):
        low, high = half + k, half + half - k
        spare = shape[low, 1] - shape[high, 1] - CLOSED_GAP_PX
        if spare > 0:
            for ring in (0, half):
                closed[ring + k, 1] -= spare / 2
                closed[ring + half - k, 1] += spare / 2
    return closed


def from_lips(lips: Float, rest_shape: Float) -> Float:
    """Mouth geometry of tracked lips.

    Args:
        lips: ``[T, 40, 2]`` in crop pixels.
        rest_shape: ``[40, 2]`` from ``rest``.

    Returns:
        ``[T, 16] float32``, 0 = closed and relaxed; NaN rows stay NaN.
    """
    components, scale = basis()
    moved = (align(lips) - rest_shape).reshape(len(lips), -1)
    return np.asarray(moved @ components / scale, np.float32)


def displacement(features: Float) -> Float:
    """Geometry ``[..., 16]`` -> displacement from rest ``[..., 40, 2]`` in crop pixels."""
    components, scale = basis()
    flat = (features * scale) @ components.T
    return np.asarray(flat.reshape(*features.shape[:-1], LIPS, 2), np.float32)


@lru_cache(maxsize=1)
def opening_weights() -> Float:
    """``[16] float32``, read-only: the opening in crop pixels is the product of geometry with these."""
    components, scale = basis()
    return _kept((components[2 * GAP_LOWER + 1] - components[2 * GAP_UPPER + 1]) * scale)


@lru_cache(maxsize=1)
def opening_direction() -> Float:
    """``[16] float32``, read-only: the smallest change of geometry that opens the lips by one crop pixel."""
    weights = opening_weights()
    return _kept(weights / (weights @ weights))


def _kept(values: Float) -> Float:
    """What is asked for with every frame is made once, and nobody may change it."""
    made = np.asarray(values, np.float32)
    made.flags.writeable = False
    return made


def opening(features: Float) -> Float:
    """Inner-lip opening ``[...]`` in crop pixels that geometry stands for (signed: < 0 is pressed).

    Args:
        features: ``[..., D]``; what follows the 16 numbers of geometry is not looked at.
    """
    return np.asarray(features[..., :GEOMETRY] @ opening_weights(), np.float32)


def widened(features: Float, by_px: Float) -> Float:
    """Features ``[..., D]`` whose lips are ``by_px [...]`` crop pixels wider open; what follows geometry stays."""
    made = np.array(features, np.float32)
    made[..., :GEOMETRY] += np.asarray(by_px)[..., None] * opening_direction()
    return made


def scaled(features: Float, by: Float | float) -> Float:
    """Features ``[..., D]`` whose geometry is ``by [...]`` times as large; what follows it stays."""
    made = np.array(features, np.float32)
    made[..., :GEOMETRY] *= np.asarray(by, np.float32)[..., None]
    return made


def as_wide(features: Float, width: int) -> Float:
    """Features ``[..., D]`` of ``width`` numbers: what nobody knows, as what is said in a single picture, is 0."""
    known = features[..., :width]
    return np.pad(known, [*[(0, 0)] * (known.ndim - 1), (0, width - known.shape[-1])])
