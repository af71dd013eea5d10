"""The light on a face: how much brighter or darker, and of what colour, it is than in other pictures of it.

A network that warps pictures of the person paints in their light. Where the frame's is another one (a fade, a lamp that
goes on, a second camera), the frame is brought into theirs before it is painted, and the painting back afterwards.
"""

from __future__ import annotations

import cv2
import numpy as np

from kouxing.types import Bytes, Float

ROWS, COLUMNS = slice(48, 128), slice(64, 192)
"""Of a crop: eyes, nose and cheeks above all that is ever painted."""
CELLS = (16, 10)
"""Cells across and down in which the light is compared: what covers part of a face counts for its own cells only."""
PLAIN, OTHER = 0.1, 0.2
"""Logarithms of what one light is times the other: up to the first it is the same light, as far as turning heads go
(of 900 frames of ``val`` and ``test`` all but one lie below .08), from the second on another one."""
DARKEST = 0.15
"""A frame is made lighter by no more than this divides: nothing but noise is left in what is darker."""
LEAST = 2.0
"""Levels under which a cell is black."""


def cells(crop: Bytes) -> Float:
    """``[10, 16, 3] float32`` mean levels of a crop ``[128 or more, 256, 3] uint8``."""
    small = cv2.resize(crop[ROWS, COLUMNS], CELLS, interpolation=cv2.INTER_AREA)
    return np.maximum(np.asarray(small, np.float32), LEAST)


def gain(shown: Float, wanted: Float) -> Float:
    """What to multiply pictures in the light of ``wanted`` by, so that they are in that of ``shown``.

    Args:
        shown, wanted: from ``cells``.

    Returns:
        ``[3] float32`` for red, green and blue; exactly 1 where both are in the same light.
    """
    apart = np.median(np.log(shown / wanted).reshape(-1, 3), 0)
    share = np.clip((np.abs(apart).max() - PLAIN) / (OTHER - PLAIN), 0, 1)
    return np.exp(share * apart).astype(np.float32)


def lit(image: Bytes, by: Float) -> Bytes:
    """A picture ``[H, W, 3] uint8`` times ``[3]``; the same array where nothing changes."""
    if (by == 1).all():
        return image
    return np.clip(image * by + 0.5, 0, 255).astype(np.uint8)


def alike(crops: Bytes) -> Bytes:
    """Crops ``[R, 256, 256, 3]`` of one face, all in the light that lies between them."""
    each = np.stack([cells(crop) for crop in crops])
    levels = each.mean((1, 2, 3))
    middle = each[np.argsort(levels, kind="stable")[len(each) // 2]]
    return np.stack([lit(crop, 1 / gain(own, middle)) for crop, own in zip(crops, each, strict=True)])
