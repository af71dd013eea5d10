"""Frame -> upright 256x256 face crop (methods.md section 4, Data), steady in time; the crop keeps its inverse.

The similarity is fitted to points that speech does not move (eye corners, nose tip), so neither the box nor its height
tells how far the jaw is open: a crop that follows the chin would leak the answer to the generator.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from kouxing.face.landmarks import NOSE
from kouxing.types import Bool, Bytes, FaceCrop, Float
from kouxing.units import CROP_PX

EYES_Y_PX = 70.0
EYE_DISTANCE_PX = 74.0
NOSE_BELOW_EYES = 0.70
"""Nose tip below the eyes' middle in eye distances; average of upright faces."""

SHIFT_SIGMA_S = 0.04
SCALE_SIGMA_S = 0.40
"""Smoothing (Gaussian sigma): position follows the head closely, size only slowly."""


def _template() -> Float:
    """[3, 2]: where the right eye's middle, the left eye's middle and the nose tip lie in the crop."""
    half = EYE_DISTANCE_PX / 2
    middle = CROP_PX / 2
    nose = EYES_Y_PX + NOSE_BELOW_EYES * EYE_DISTANCE_PX
    return np.array([[middle - half, EYES_Y_PX], [middle + half, EYES_Y_PX], [middle, nose]], np.float32)


def _similarity(source: Float, target: Float) -> tuple[Float, Float]:
    """Least-squares similarity of point sets [T, P, 2] -> [P, 2], as complex (factor [T], shift [T])."""
    z = source[..., 0] + 1j * source[..., 1]
    w = target[..., 0] + 1j * target[..., 1]
    z_mean, w_mean = z.mean(-1, keepdims=True), w.mean()
    dz, dw = z - z_mean, w - w_mean
    factor = (dw * dz.conj()).sum(-1) / np.maximum((np.abs(dz) ** 2).sum(-1), 1e-6)
    return factor, w_mean - factor * z_mean[..., 0]


def crop_matrices(anchors: Float, found: Bool, cut: Bool, rate_hz: float) -> Float:
    """Steady crop transforms of a whole track.

    Args:
        anchors: ``[T, 8, 2]`` in frame pixels (``FaceTrack.anchors``).
        found: ``[T]``; rows that are False are filled from their neighbours of the same shot.
        cut: ``[T]``, True where a new shot starts: nothing is smoothed across.
        rate_hz: frames per second, to turn the smoothing times into frames.

    Returns:
        ``[T, 2, 3] float32``: frame pixels -> crop pixels. NaN in shots without any face.
    """
    frames = len(found)
    result = np.full((frames, 2, 3), np.nan, np.float32)
    starts = np.flatnonzero(cut).tolist()
    bounds = sorted({0, *starts, frames})
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        seen = np.flatnonzero(found[first:last])
        if len(seen) == 0:
            continue
        result[first:last] = _shot(anchors[first:last], seen, rate_hz)
    return result


def _shot(anchors: Float, seen: np.ndarray, rate_hz: float) -> Float:
    points = anchors[seen].astype(np.float64)
    three = np.stack([points[:, 0:2].mean(1), points[:, 2:4].mean(1), points[:, NOSE]], 1)
    factor, _ = _similarity(three, _template())
    # The middle of the three points carries position; it and the angle move with the head, the size hardly at all.
    middle = three.mean(1)
    steps = np.arange(len(anchors))

    def smooth(values: np.ndarray, sigma_s: float) -> np.ndarray:
        filled = np.interp(steps, seen, values)
        if len(filled) == 1:
            return filled
        return gaussian_filter1d(filled, max(sigma_s * rate_hz, 1e-3), mode="nearest")

    scale = np.exp(smooth(np.log(np.abs(factor)), SCALE_SIGMA_S))
    angle = smooth(np.unwrap(np.angle(factor)), SHIFT_SIGMA_S)
    x, y = smooth(middle[:, 0], SHIFT_SIGMA_S), smooth(middle[:, 1], SHIFT_SIGMA_S)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    goal = _template().mean(0)
    matrix = np.empty((len(anchors), 2, 3), np.float32)
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 0, 2] = cos, -sin, goal[0] - (cos * x - sin * y)
    matrix[:, 1, 0], matrix[:, 1, 1], matrix[:, 1, 2] = sin, cos, goal[1] - (sin * x + cos * y)
    return matrix


def crop_face(image: Bytes, matrix: Float, rows: int = CROP_PX) -> FaceCrop:
    """Cut the upright face out of an RGB picture.

    Args:
        image: ``[H, W, 3] uint8``.
        matrix: ``[2, 3]``: frame pixels -> crop pixels.
        rows: how many of the crop's rows are wanted; those below are 0.

    Returns:
        The crop; what lies outside the picture repeats its edge.
    """
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    # Cubic: cut out and laid back linearly, a small face loses up to 40 % of its finest detail (docs/log.md).
    # Far too large faces alias under it: INTER_AREA does not exist for warps, so halve first.
    reduced, scaled = image, matrix
    while shrink < 0.5 and min(reduced.shape[:2]) >= 2:
        reduced = np.asarray(cv2.pyrDown(reduced), np.uint8)
        scaled = scaled.copy()
        scaled[:, :2] *= 2
        shrink *= 2
    crop = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    size = (CROP_PX, rows)
    crop[:rows] = cv2.warpAffine(reduced, scaled, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return FaceCrop(crop, matrix.astype(np.float32))


def invert(matrix: Float) -> Float:
    """The way back: crop pixels -> frame pixels, ``[2, 3] float32``."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float32)


def apply(matrix: Float, points: Float) -> Float:
    """Transform points.

    Args:
        matrix: ``[2, 3]`` or ``[T, 2, 3]``.
        points: ``[P, 2]`` or ``[T, P, 2]``.

    Returns:
        Points of the same shape, float32.
    """
    turned = np.einsum("...ij,...pj->...pi", matrix[..., :2], points)
    return np.asarray(turned + matrix[..., None, :, 2], np.float32)
