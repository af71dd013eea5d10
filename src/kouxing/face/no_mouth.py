"""A face crop without its mouth: what ``multimodal``'s face generator is shown must not tell the mouth's shape."""

from __future__ import annotations

import cv2
import numpy as np

from kouxing.types import Bytes, Float
from kouxing.units import CROP_PX

MIDDLE_PX, HALF_AXES_PX = (128, 190), (74, 64)
"""An ellipse of every crop that holds lips and chin however wide the mouth is open. It is the same for all: one that
followed the lips would tell their shape."""
SOFT_PX = 8
ACROSS_PX, DOWN_PX = 6, 40
"""The fill is blurred so far: down the columns, as the skin beside the nose goes on into cheeks and chin, and little to
the side, where the background may lie."""


def region() -> Float:
    """How far the face is taken away, ``[256, 256] float32``, 0..1: 1 wherever lips or chin may be."""
    y, x = np.mgrid[:CROP_PX, :CROP_PX] + 0.5
    away = np.hypot((x - MIDDLE_PX[0]) / HALF_AXES_PX[0], (y - MIDDLE_PX[1]) / HALF_AXES_PX[1])
    soft = SOFT_PX / min(HALF_AXES_PX)
    return np.clip(1 - (away - 1) / soft, 0, 1).astype(np.float32)


def no_mouth(crop: Bytes) -> Bytes:
    """``[256, 256, 3] uint8`` with the region of the mouth filled from the skin around it, and nothing from inside."""
    away = region()
    outside = (away == 0).astype(np.float32)
    colour = cv2.GaussianBlur(crop * outside[..., None], (0, 0), ACROSS_PX, sigmaY=DOWN_PX)
    share = cv2.GaussianBlur(outside, (0, 0), ACROSS_PX, sigmaY=DOWN_PX)[..., None]
    filled = np.where(share > 1e-4, colour / np.maximum(share, 1e-4), crop[: CROP_PX // 2].mean((0, 1)))
    mixed = crop + (filled - crop) * away[..., None]
    # Where the fill fades out, the crop shows through; the ellipse holds the mouth with room to spare.
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)
