"""Upright crop -> the small grey lower-face picture that the sync discriminator sees.

One code for training, filter and scorer: without the same alignment in all three, the same weights fail (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from kouxing.types import Bytes
from kouxing.units import CROP_PX, exact

LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX = 64, 120, 192, 216
"""What of the crop is seen: the mouth, from under the nose to the chin of an open jaw."""
SHRINK = 2
WIDTH_PX, HEIGHT_PX = exact(RIGHT_PX - LEFT_PX, SHRINK), exact(BOTTOM_PX - TOP_PX, SHRINK)


def mouth_picture(crop: Bytes) -> Bytes:
    """One upright crop ``[256, 256, 3] uint8`` RGB -> ``[48, 64] uint8`` grey.

    Raises:
        ValueError: the crop has another shape.
    """
    if crop.shape != (CROP_PX, CROP_PX, 3):
        raise ValueError(f"a crop must be {(CROP_PX, CROP_PX, 3)}, got {crop.shape}")
    grey = cv2.cvtColor(np.ascontiguousarray(crop[TOP_PX:BOTTOM_PX, LEFT_PX:RIGHT_PX]), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8)


def mouth_pictures(crops: Iterable[Bytes]) -> Bytes:
    """Upright crops (``face.crop``), each ``[256, 256, 3] uint8`` RGB -> ``[T, 48, 64] uint8`` grey.

    Raises:
        ValueError: a crop has another shape.
    """
    pictures = [mouth_picture(crop) for crop in crops]
    return np.stack(pictures) if pictures else np.zeros((0, HEIGHT_PX, WIDTH_PX), np.uint8)
