"""Where a painted crop shows: a feathered patch from below the nose along the jaw, and its place in the frame."""

from __future__ import annotations

import cv2
import numpy as np

from kouxing.face.crop import apply
from kouxing.face.patch import first_column
from kouxing.types import Float
from kouxing.units import CROP_PX, HALF_PX, PATCH_PX

Box = tuple[int, int, int, int]

FEATHER_PX = 12
"""Over so many crop pixels the patch fades in."""

BELOW = 0.07
BESIDE = -0.06
"""How far beyond the jaw the patch covers half, below the chin and beside the cheeks, in face widths: room below for a
jaw opened wider than the real one. Speech hardly moves a cheek's edge, and no painted one lies as true as the real one:
beside, the patch ends before it."""

LIP_ROOM = 0.04
"""Around the lips the patch covers fully this far, in face widths, however the face is turned."""

TOP_PX = 2
"""The patch starts so many rows below the line from which the crop is painted."""

BORDER_PX = 2
"""Rows and columns at the painted part's edge that stay free."""

LEAST_SCALE, MOST_SCALE = 1 / 64, 64.0
"""Crops that shrink or enlarge the frame more hold no usable face."""

_FADE = np.convolve(np.ones(FEATHER_PX // 2 + 1), np.ones(FEATHER_PX // 2 + 1)) / (FEATHER_PX // 2 + 1) ** 2
"""Two running means, written as one kernel: falls to exactly 0, which sums that run on would not."""

_FIRST = HALF_PX - 2 * FEATHER_PX
"""First row of the piece in which the patch's shape is drawn: the top edge is feathered on its own."""


def usable(matrix: Float, jaw: Float, lips: Float) -> bool:
    """Whether there is a face to paste onto: all finite, and a transform that can be undone."""
    if not (np.isfinite(matrix).all() and np.isfinite(jaw).all() and np.isfinite(lips).all()):
        return False
    return LEAST_SCALE < float(np.hypot(matrix[0, 0], matrix[1, 0])) < MOST_SCALE


def mask(matrix: Float, jaw: Float, lips: Float) -> Float:
    """Share of the painted crop in the result, in crop space.

    Args:
        matrix: ``[2, 3]``: frame pixels -> crop pixels.
        jaw: ``[21, 2]`` in frame pixels (``FaceTrack.jaw``).
        lips: ``[40, 2]`` in frame pixels (``FaceTrack.lips``).

    Returns:
        ``[256, 256] float32``, 0..1: 0 in rows up to ``HALF_PX``, beyond the widened jaw and where nothing is painted.
        All 0 where ``usable`` is False.
    """
    alpha = np.zeros((CROP_PX, CROP_PX), np.float32)
    if not usable(matrix, jaw, lips):
        return alpha
    edge, mouth = apply(matrix, jaw), apply(matrix, lips)
    shape = np.zeros((CROP_PX - _FIRST, CROP_PX), np.uint8)
    outline = (_outline(edge, mouth) - (0, _FIRST)).clip(-4 * CROP_PX, 4 * CROP_PX)
    # Eight fractional bits and a soft edge, so that the patch does not jump by whole pixels from frame to frame.
    points = np.asarray(np.rint(outline * 256), np.int32)
    cv2.fillConvexPoly(shape, points, (255.0,), lineType=cv2.LINE_AA, shift=8)
    free = BORDER_PX + FEATHER_PX // 2
    shape[-free:] = 0
    first = first_column(edge[0], edge[-1])
    shape[:, : first + free] = 0
    shape[:, first + PATCH_PX - free :] = 0
    alpha[_FIRST:] = np.minimum(cv2.sepFilter2D(shape, cv2.CV_32F, _FADE, _FADE) / 255, 1)
    alpha *= _top(mouth)[:, None]
    return alpha


def _outline(jaw: Float, lips: Float) -> Float:
    """Convex outline ``[N, 2]`` in crop pixels, along which the patch covers half."""
    width = max(float(np.hypot(*(jaw[0] - jaw[-1]))), 1.0)
    middle = (jaw[0] + jaw[-1]) / 2
    away = jaw - middle
    away = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    # From the edges of the face to the chin the widening grows from BESIDE to BELOW.
    reach = BESIDE + (BELOW - BESIDE) * np.clip(away[:, 1:], 0, 1)
    wide = jaw + away * reach * width
    # Straight up at both sides: the top is cut elsewhere.
    above = np.array([[wide[:, 0].min(), _FIRST - 8], [wide[:, 0].max(), _FIRST - 8]], np.float32)
    centre = lips.mean(0)
    spread = lips - centre
    length = np.maximum(np.linalg.norm(spread, axis=1, keepdims=True), 1e-6)
    room = lips + spread / length * (LIP_ROOM * width + FEATHER_PX / 2 + 1)
    return np.asarray(cv2.convexHull(np.concatenate([wide, above, room]).astype(np.float32))[:, 0], np.float32)


def _smooth(value: Float) -> Float:
    """0..1 with level ends."""
    value = np.clip(value, 0, 1)
    return np.asarray(value * value * (3 - 2 * value), np.float32)


def _top(lips: Float) -> Float:
    """``[256]``: fades in below ``HALF_PX``, faster where the upper lip is near."""
    start = HALF_PX + TOP_PX
    end = float(np.clip(lips[:, 1].min() - 2, start + 3, start + FEATHER_PX))
    return _smooth((np.arange(CROP_PX, dtype=np.float32) - start) / (end - start))


def placed(alpha: Float, matrix: Float, width: int, height: int) -> tuple[Box, Float] | None:
    """A crop-space mask in the frame.

    Args:
        alpha: ``[256, 256] float32`` (``mask``).
        matrix: ``[2, 3]``: frame pixels -> crop pixels.
        width, height: of the frame.

    Returns:
        Box (x0, y0, x1, y1) and ``[y1-y0, x1-x0] float32``; outside the box the mask is 0. None where all of it is.
    """
    area = shown(alpha)
    box = None if area is None else footprint(area, matrix, width, height)
    if box is None:
        return None
    return box, laid(alpha, matrix, box)


def shown(alpha: Float) -> Box | None:
    """The crop's box (x0, y0, x1, y1) outside of which a mask is 0; None where all of it is."""
    x, y, across, down = cv2.boundingRect((alpha > 0).view(np.uint8))
    return (x, y, x + across, y + down) if across else None


def footprint(area: Box, matrix: Float, width: int, height: int) -> Box | None:
    """The frame's box (x0, y0, x1, y1) that holds all of a box of the crop (``shown``); None when it lies outside."""
    left, top, right, bottom = area[0] - 1, area[1] - 1, area[2], area[3]
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    back = cv2.invertAffineTransform(matrix.astype(np.float64))
    corners = corners @ back[:, :2].T + back[:, 2]
    low, high = np.floor(corners.min(0)), np.ceil(corners.max(0)) + 1
    # Even corners fall together with those of halved chroma planes, which spares work there.
    x0, y0 = (max(int(v), 0) // 2 * 2 for v in low)
    x1, y1 = (min(-(-int(v) // 2) * 2, end) for v, end in zip(high, (width, height), strict=True))
    box = (x0, y0, x1, y1)
    return box if box[0] < box[2] and box[1] < box[3] else None


def laid(image: Float, matrix: Float, box: Box, corner: tuple[int, int] = (0, 0), how: int = cv2.INTER_LINEAR) -> Float:
    """A crop-space picture as the frame's ``box`` sees it.

    Args:
        image: ``[h, w]`` or ``[h, w, C] float32``, C at most 4: the crop, or part of it.
        matrix: ``[2, 3]``: frame pixels -> crop pixels.
        box: x0, y0, x1, y1 in the frame.
        corner: x, y in the crop of the image's first pixel.
        how: OpenCV's interpolation; cubic keeps a picture's detail, linear keeps a mask within 0..1.

    Returns:
        ``[y1-y0, x1-x0(, C)]``; 0 where the image does not reach.
    """
    x0, y0, x1, y1 = box
    shifted = matrix.astype(np.float64)
    shifted[:, 2] += shifted[:, :2] @ np.array([x0, y0], np.float64) - corner
    flags = how | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(image, shifted, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(seen, np.float32)
