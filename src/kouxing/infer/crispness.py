"""How much a painted mouth must be sharpened to look as sharp as the person's own pictures.

Clips differ in sharpness by far more than one network can learn from a few pictures of each, so it is measured: every
reference is painted from the others and held against what it really shows. Real detail is the measure, never the ideal.
Only the mouth is sharpened: the rest of the lower face is warped out of the references and keeps their detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, NOSE
from kouxing.face.paste import averaged_px
from kouxing.types import Bytes, Float

WANTED = 0.9
"""Share of the real detail that is wanted; more would sharpen the camera's noise, which no network paints."""
LEAST, MOST, STEP = 0.4, 0.8, 0.1
"""Amounts: mouths between the references, which are all that speech asks for, come out softer than those."""
BESIDE_PX = 0.25
"""How far the frame's pixels lie from the crop's, of up to half a pixel."""
LARGEST = 1.5
"""Frame pixels a crop pixel: larger faces lose as much."""
SIGMA_PX = 1.0
"""Spread of the blur that is taken away: finest detail, as the network loses it."""
BELOW = 0.227
"""Where the mouth's middle lies below the tip of the nose, in face widths (median of the training footage)."""
HALF_WIDTH, HALF_HEIGHT = 0.24, 0.16
"""Half axes of the oval about it, in face widths: lips are .18 and .10."""
SOFT = 0.35
"""Share of the oval's radius over which sharpening fades, inwards and outwards."""


def sharpened(image: Bytes, amount: float, anchors: Float, top: int = 0) -> Bytes:
    """Unsharp mask of the mouth.

    Args:
        image: ``[H, W, 3] uint8``, rows ``top`` and below of a crop.
        amount: how much of the finest detail is added; 0 leaves the picture as it is.
        anchors: ``[8, 2]`` the head's points in the crop, its pixels.
        top: first row of the crop that ``image`` shows.
    """
    rows, columns = _mouth(anchors, top, image.shape, 1 + SOFT)
    part = image[rows, columns]
    if amount <= 0 or not part.size:
        return image
    x, y, across, down = _oval(anchors, top)
    radius = np.hypot(
        (np.arange(columns.start, columns.stop, dtype=np.float32) - x)[None] / across,
        (np.arange(rows.start, rows.stop, dtype=np.float32) - y)[:, None] / down,
    )
    share = np.clip((1 + SOFT - radius) / (2 * SOFT), 0, 1)[..., None] * np.float32(amount)
    whole = part.astype(np.float32)
    made = image.copy()
    made[rows, columns] = np.clip(whole + share * (whole - cv2.GaussianBlur(whole, (0, 0), SIGMA_PX)), 0, 255).round()
    return made


def in_frame(image: Bytes, scale: float) -> Bytes:
    """What a frame shows of a painted crop (``face.paste``), cut out again.

    Args:
        image: ``[H, W, 3] uint8``, a crop.
        scale: frame pixels a crop pixel.
    """
    scale = min(scale, LARGEST)
    height, width = image.shape[:2]
    spread = averaged_px(scale)
    soft = cv2.GaussianBlur(image, (0, 0), spread) if spread else image
    down = np.array([[scale, 0, BESIDE_PX], [0, scale, BESIDE_PX]], np.float64)
    size = (int(width * scale) + 1, int(height * scale) + 1)
    small = cv2.warpAffine(soft, down, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(small, down, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(back, np.uint8)


def amount(
    painted: Sequence[Bytes],
    real: Sequence[Bytes],
    anchors: Float,
    most: float = MOST,
    scales: Sequence[float] | None = None,
) -> float:
    """The smallest amount, from ``LEAST`` on, that gives the painted mouths ``WANTED`` of the real ones' detail.

    Args:
        painted, real: ``[256, 256, 3] uint8`` crops of the same moments.
        anchors: ``[N, 8, 2]`` the head's points in them, crop pixels.
        most: the largest amount.
        scales: frame pixels a crop pixel: detail counts as far as frames show it. As painted by default.
    """
    shrunk = [1.0] * len(painted) if scales is None else scales
    boxes = [_mouth(points, 0, image.shape, 1 - SOFT) for points, image in zip(anchors, real, strict=True)]
    wanted = [_detail(image, box) for image, box in zip(real, boxes, strict=True)]
    for tried in np.arange(LEAST, most, STEP).tolist():
        tries = [
            in_frame(sharpened(image, tried, points), scale)
            for image, points, scale in zip(painted, anchors, shrunk, strict=True)
        ]
        made = [_detail(image, box) for image, box in zip(tries, boxes, strict=True)]
        if np.median([one / max(other, 1e-9) for one, other in zip(made, wanted, strict=True)]) >= WANTED:
            return float(tried)
    return most


Box = tuple[slice, slice]


def _oval(anchors: Float, top: int) -> tuple[float, float, float, float]:
    """Middle and half axes of the mouth's oval, in pixels of the rows from ``top`` on."""
    width = float(np.linalg.norm(anchors[EDGE_LEFT] - anchors[EDGE_RIGHT]))
    x, y = anchors[NOSE]
    return float(x), float(y) + BELOW * width - top, max(HALF_WIDTH * width, 1.0), max(HALF_HEIGHT * width, 1.0)


def _mouth(anchors: Float, top: int, shape: tuple[int, ...], size: float) -> Box:
    """Rows and columns of the oval, ``size`` times as large, inside the picture."""
    x, y, across, down = _oval(anchors, top)
    rows = np.clip((y - size * down, y + size * down + 1), 0, shape[0]).astype(int)
    columns = np.clip((x - size * across, x + size * across + 1), 0, shape[1]).astype(int)
    return slice(*rows.tolist()), slice(*columns.tolist())


def _detail(image: Bytes, box: Box) -> float:
    """Variance of the Laplacian; 0 for an empty box."""
    part = cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[box]
    return float(part.var()) if part.size else 0.0
