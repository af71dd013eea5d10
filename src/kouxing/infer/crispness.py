"""How much a painted mouth must be sharpened to look as sharp as the person's own pictures.

Clips differ in sharpness by far more than one network can learn from a few pictures of each, so it is measured: every
reference is painted from the others and held against what it really shows. Real detail is the measure, never the ideal.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from kouxing.face.landmarks import CHIN, EDGE_LEFT, EDGE_RIGHT, NOSE
from kouxing.types import Bytes, Float

WANTED = 0.9
"""Share of the real detail that is wanted; more would sharpen the camera's noise, which no network paints."""
LEAST, MOST, STEP = 0.2, 0.8, 0.1
"""Amounts: mouths between the references, which are all that speech asks for, come out softer than those."""
SIGMA_PX = 1.0
"""Spread of the blur that is taken away: finest detail, as the network loses it."""
MOUTH_SHARE = 0.42
"""Where the mouth's middle lies between nose tip and chin."""
HALF_WIDTH, HALF_HEIGHT = 0.24, 0.18
"""Size of the judged box about it, in face widths."""


def sharpened(image: Bytes, amount: float) -> Bytes:
    """Unsharp mask of ``[H, W, 3] uint8``; 0 leaves it as it is."""
    if amount <= 0:
        return image
    blurred = cv2.GaussianBlur(image, (0, 0), SIGMA_PX)
    return np.asarray(cv2.addWeighted(image, 1 + amount, blurred, -amount, 0), np.uint8)


def amount(painted: Sequence[Bytes], real: Sequence[Bytes], anchors: Float) -> float:
    """The smallest amount that gives the painted mouths ``WANTED`` of the real ones' detail, ``LEAST``..``MOST``.

    Args:
        painted, real: ``[256, 256, 3] uint8`` crops of the same moments.
        anchors: ``[N, 8, 2]`` the head's points in them, crop pixels.
    """
    boxes = [_mouth(points, image.shape) for points, image in zip(anchors, real, strict=True)]
    wanted = [_detail(image, box) for image, box in zip(real, boxes, strict=True)]
    for tried in np.arange(LEAST, MOST, STEP).tolist():
        made = [_detail(sharpened(image, tried), box) for image, box in zip(painted, boxes, strict=True)]
        if np.median([one / max(other, 1e-9) for one, other in zip(made, wanted, strict=True)]) >= WANTED:
            return float(tried)
    return MOST


Box = tuple[slice, slice]


def _mouth(anchors: Float, shape: tuple[int, ...]) -> Box:
    width = float(np.linalg.norm(anchors[EDGE_LEFT] - anchors[EDGE_RIGHT]))
    x, y = anchors[NOSE] + MOUTH_SHARE * (anchors[CHIN] - anchors[NOSE])
    rows = np.clip((y - HALF_HEIGHT * width, y + HALF_HEIGHT * width), 0, shape[0]).astype(int)
    columns = np.clip((x - HALF_WIDTH * width, x + HALF_WIDTH * width), 0, shape[1]).astype(int)
    return slice(*rows.tolist()), slice(*columns.tolist())


def _detail(image: Bytes, box: Box) -> float:
    """Variance of the Laplacian; 0 for an empty box."""
    part = cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[box]
    return float(part.var()) if part.size else 0.0
