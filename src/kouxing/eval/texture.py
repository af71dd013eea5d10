"""Likeness of two pictures as an eye sees it, and where in the scale of detail a picture lacks some.

No network is asked: the ones at hand were all trained here, most of them as losses of what is judged.
"""

from __future__ import annotations

import cv2
import numpy as np

from kouxing.eval.metrics import Real, luma
from kouxing.types import Bool, Bytes

BANDS = ("fine", "middle", "coarse")
"""Octaves of detail, from one to two pixels a wave's half upwards, each twice as coarse as the one before."""

SCALES = (0.096, 0.596, 0.289, 0.019)
"""Shares of full, half, quarter and eighth size in ``distance``."""
CONTRAST = 170.0
"""Keeps flat places from counting (for luma 0..255)."""
PREWITT = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]], np.float64) / 3


def distance(made: Bytes, real: Bytes, inside: Bool) -> float:
    """Perceptual distance: multi-scale gradient magnitude similarity deviation (MS-GMSD).

    At every scale the likeness of the local contrast (gradient magnitude) is mapped; what counts is how unevenly it is
    spread, because viewers notice where a picture is spoiled. Xue et al. 2014, Zhang et al. 2017.

    Args:
        made, real: ``[256, 256, 3] uint8`` crops.
        inside: ``[256, 256] bool``, where it is measured.

    Returns:
        0 for equal pictures, about 0.35 for unrelated ones; NaN where ``inside`` is empty.
    """
    if not inside.any():
        return float("nan")
    one, other, place = luma(made), luma(real), inside.astype(np.float64)
    total = 0.0
    for share in SCALES:
        a, b = _contrast(one), _contrast(other)
        likeness = (2 * a * b + CONTRAST) / (a * a + b * b + CONTRAST)
        chosen = likeness[place > 0.5]
        total += share * float(chosen.var()) if len(chosen) else 0.0
        one, other, place = (_halved(image) for image in (one, other, place))
    return float(np.sqrt(total))


def _contrast(image: Real) -> Real:
    across, down = (cv2.filter2D(image, cv2.CV_64F, kernel) for kernel in (PREWITT, PREWITT.T))
    return np.asarray(np.hypot(across, down), np.float64)


def _halved(image: Real) -> Real:
    half = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.float64)


def bands(image: Bytes, box: tuple[int, int, int, int]) -> tuple[float, ...]:
    """Energy of the luma in each octave of ``BANDS`` inside ``box``, by differences of Gaussians.

    Args:
        image: ``[256, 256, 3] uint8`` crop.
        box: ``x0, y0, x1, y1``.

    Returns:
        A number a band; NaN for an empty box.
    """
    x0, y0, x1, y1 = box
    if x1 - x0 < 3 or y1 - y0 < 3:
        return (float("nan"),) * len(BANDS)
    found = []
    sharper = grey = luma(image)
    for octave in range(len(BANDS)):
        softer = np.asarray(cv2.GaussianBlur(grey, (0, 0), 2.0**octave), np.float64)
        found.append(float(((sharper - softer)[y0:y1, x0:x1] ** 2).mean()))
        sharper = softer
    return tuple(found)
