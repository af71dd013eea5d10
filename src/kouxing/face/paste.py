"""Paste-back: a painted crop into its frame, colours matched at the seam, nothing touched outside the mask.

Around the mouth all pixels are the painted ones. Elsewhere in the patch, where the painting keeps what was there, the
frame's own detail that the crop does not hold (skin, beard, grain) is laid over it: a large face stays as sharp below
the nose as above.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from kouxing.face.crop import apply
from kouxing.face.mask import Box, footprint, laid, mask, placed, shown, usable
from kouxing.face.picture import Picture
from kouxing.media.colour import blend_rgb, to_rgb
from kouxing.types import Bytes, Float, VideoFrame
from kouxing.units import CROP_PX, HALF_PX, exact

__all__ = ["SeamColour", "mask", "paste", "placed"]

COARSE_PX = 4
"""Colours are compared in cells of so many crop pixels."""

COARSE = exact(CROP_PX, COARSE_PX)
COARSE_HALF = exact(HALF_PX, COARSE_PX)

OUTLIER = 24.0
"""A difference of so many levels (0..255) in a cell is more likely another content than another colour."""

MOST_SHIFT = 40.0
FOLLOW = 0.25
"""Share of the newest frame in the colour shift over time: the shift belongs to the light, which changes slowly."""

SAME_LEVELS, OTHER_LEVELS = 6.0, 18.0
"""Detail is kept fully where the painting differs from the frame by the first, not at all from the second on."""

LIP_ROOM_PX = 6.0
"""Around the lips no detail is kept: nothing of the mouth that was there shows through."""

PIXEL = 0.5
"""Spread of a pixel, in pixels: a crop that shrinks is averaged until its own are as wide as the frame's."""

LEAST_SPREAD_PX = 0.2
"""Less averaging is not seen."""

REACH_PX, REACHES_PX = 8, 0.6
"""Filters look so many crop pixels beyond the mask where the crop is averaged by no more than the second."""


class SeamColour:
    """Colour shift at the seam, kept from frame to frame so that it does not flicker. One per shot, or ``forget``."""

    def __init__(self) -> None:
        self.plane: Float | None = None
        """``[3, 3] float32``: level, slope across and slope down, for red, green and blue."""

    def forget(self) -> None:
        """Start afresh, as at a cut."""
        self.plane = None

    def follow(self, measured: Float) -> Float:
        """Take in a frame's shift; the steadied one."""
        self.plane = measured if self.plane is None else self.plane + FOLLOW * (measured - self.plane)
        return self.plane


def paste(
    frame: VideoFrame, image: Bytes, matrix: Float, jaw: Float, lips: Float, state: SeamColour | None = None
) -> VideoFrame:
    """Put a painted crop back where it was cut out.

    Args:
        frame: the frame it was cut from; left as it is.
        image: ``[256, 256, 3] uint8`` RGB, painted in rows from ``HALF_PX`` on, around the face (``face.patch``).
        matrix: ``[2, 3]``: frame pixels -> crop pixels; NaN where there is no face.
        jaw: ``[21, 2]``, lips: ``[40, 2]`` in frame pixels (``FaceTrack``); NaN where there is no face.
        state: steadies the colour over the frames of a shot; None takes every frame by itself.

    Returns:
        A new frame; every sample outside the mask has the bits it had. ``frame`` itself where there is no face.
    """
    if image.shape != (CROP_PX, CROP_PX, 3) or image.dtype != np.uint8:
        raise ValueError(f"image must be [{CROP_PX}, {CROP_PX}, 3] uint8, got {image.shape} {image.dtype}")
    if not usable(matrix, jaw, lips):
        return frame
    alpha = mask(matrix, jaw, lips)
    area = shown(alpha)
    box = None if area is None else footprint(area, matrix, frame.width, frame.height)
    if area is None or box is None:
        return frame
    mouth = apply(matrix, lips)
    shift = _shift(Picture(frame), image, matrix, alpha, mouth)
    if state is not None:
        shift = state.follow(shift)
    part = _part(area, matrix)
    rgb = _laid_over(frame, _matched(image, part, shift), part, matrix, box, mouth)
    return blend_rgb(frame, box, rgb, laid(alpha, matrix, box))


def averaged_px(scale: float) -> float:
    """Spread (crop pixels) of the blur before a crop shrinks to ``scale`` frame pixels a pixel; 0 where it is none.

    It grows with the face's distance, so that nobody who leans back loses detail from one frame to the next.
    """
    spread = PIXEL * float(np.sqrt(max(1 / scale**2 - 1, 0)))
    return spread if spread >= LEAST_SPREAD_PX else 0.0


def _lip_area(lips: Float, grow: float, shape: tuple[int, ...]) -> Bytes:
    """255 on the lips (``[40, 2]`` pixels) and ``grow`` pixels around: ``[h, w] uint8``, h and w of ``shape``."""
    area = np.zeros(shape[:2], np.uint8)
    hull = cv2.convexHull(lips.astype(np.float32))[:, 0].clip(-CROP_PX, 2 * CROP_PX)
    points = np.asarray(np.rint(hull * 16), np.int32)
    cv2.fillConvexPoly(area, points, (255.0,), shift=4)
    cv2.polylines(area, [points], True, (255.0,), max(round(2 * grow), 1), shift=4)
    return area


def _shift(picture: Picture, image: Bytes, matrix: Float, alpha: Float, mouth: Float) -> Float:
    """Colour of the frame minus that of the crop along the mask's rim, as a plane ``[3, 3]`` (``SeamColour.plane``)."""
    lower = slice(COARSE_HALF, None)
    size = (COARSE, COARSE_HALF)
    made = np.asarray(cv2.resize(image[HALF_PX:], size, interpolation=cv2.INTER_AREA), np.float32)
    share = np.asarray(cv2.resize(alpha[HALF_PX:], size, interpolation=cv2.INTER_AREA), np.float32)
    lips = _lip_area(mouth / COARSE_PX, 2.0, (COARSE, COARSE))[lower]
    real, inside = _coarse(picture, matrix)
    # Strongest where the patch begins to show, nothing on the lips or where the frame has ended.
    weight = np.where((share > 0.02) & (lips == 0) & inside, 1.05 - share, 0) ** 2
    return _plane(real - made, weight.astype(np.float32))


def _coarse(picture: Picture, matrix: Float) -> tuple[Float, Float]:
    """The frame's own lower crop half in cells: ``[32, 64, 3] float32`` and ``[32, 64]`` True inside the frame."""
    small = matrix.astype(np.float64) / COARSE_PX
    # Middle of a cell of four pixels, counted from pixel middles, is not a quarter of a pixel's.
    small[:, 2] += 0.5 / COARSE_PX - 0.5
    back = cv2.invertAffineTransform(small)
    corners = np.array([[0, COARSE_HALF], [COARSE, COARSE_HALF], [COARSE, COARSE], [0, COARSE]], np.float64)
    corners = corners @ back[:, :2].T + back[:, 2]
    low, high = np.floor(corners.min(0)) - 2, np.ceil(corners.max(0)) + 2
    shrink = max(int(np.hypot(back[0, 0], back[1, 0])), 1)
    image, corner, ratio = picture.part((int(low[0]), int(low[1]), int(high[0]), int(high[1])), shrink)
    if image.size == 0:
        return np.zeros((COARSE_HALF, COARSE, 3), np.float32), np.zeros((COARSE_HALF, COARSE), bool)
    onto = small.copy()
    onto[:, 2] += onto[:, :2] @ (corner + (ratio - 1) / 2)
    onto[:, :2] *= ratio
    onto[1, 2] -= COARSE_HALF
    size = (COARSE, COARSE_HALF)
    real = cv2.warpAffine(image, onto, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    x, y = np.meshgrid(np.arange(COARSE), np.arange(COARSE_HALF) + COARSE_HALF)
    at_x, at_y = (back[i, 0] * x + back[i, 1] * y + back[i, 2] for i in (0, 1))
    inside = (at_x >= 0) & (at_x < picture.width) & (at_y >= 0) & (at_y < picture.height)
    return real.astype(np.float32), inside


def _plane(difference: Float, weight: Float) -> Float:
    """Robust plane through differences ``[32, 64, 3]``: ``[3, 3]``, columns red, green, blue; 0 without any weight."""
    rows, columns = np.nonzero(weight)
    if len(rows) < 8:
        return np.zeros((3, 3), np.float32)
    basis = _basis(columns * COARSE_PX + COARSE_PX / 2, (rows + COARSE_HALF) * COARSE_PX + COARSE_PX / 2)
    values, trust = difference[rows, columns].astype(np.float64), weight[rows, columns].astype(np.float64)
    plane = np.zeros((3, 3))
    plane[0] = np.median(values, axis=0)
    # Slopes are held down: they are to follow the light, not the neck below the chin.
    hold = np.diag([1e-6, 0.15, 0.15]) * trust.sum()
    for _ in range(3):
        off = np.abs(values - basis @ plane).max(1)
        sure = trust / (1 + (off / OUTLIER) ** 2) ** 2
        plane = np.linalg.solve(basis.T @ (sure[:, None] * basis) + hold, basis.T @ (sure[:, None] * values))
    return np.clip(plane, -MOST_SHIFT, MOST_SHIFT).astype(np.float32)


def _basis(x: Float, y: Float) -> Float:
    """``[N, 3]``: 1 and the place in the lower crop half, -1..1 across and down."""
    return np.stack([np.ones(len(x)), _across(x), _down(y)], 1)


def _across(x: Float) -> Float:
    return x / HALF_PX - 1


def _down(y: Float) -> Float:
    return (y - HALF_PX) / (HALF_PX / 2) - 1


def _part(area: Box, matrix: Float) -> Box:
    """The part of the crop's lower half that is worked on: what the mask shows, and as much around as filters see."""
    if averaged_px(1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))) > REACHES_PX:
        return 0, HALF_PX, CROP_PX, CROP_PX
    low = max(area[0] - REACH_PX, 0), max(area[1] - REACH_PX, HALF_PX)
    return *low, min(area[2] + REACH_PX, CROP_PX), min(area[3] + REACH_PX, CROP_PX)


def _matched(image: Bytes, part: Box, plane: Float) -> Float:
    """A part of the crop, ``[h, w, 3] float32``, with the colour shift added."""
    x0, y0, x1, y1 = part
    # Of a place only one term changes along a row and one along a column.
    columns, rows = (np.arange(low, high, dtype=np.float32)[:, None] for low, high in ((x0, x1), (y0, y1)))
    shift = (plane[0] + _across(columns) * plane[1])[None] + (_down(rows) * plane[2])[:, None]
    return np.asarray(cv2.add(image[y0:y1, x0:x1], shift, dtype=cv2.CV_32F), np.float32)


def _laid_over(frame: VideoFrame, painted: Float, part: Box, matrix: Float, box: Box, mouth: Float) -> Float:
    """The crop in the frame's ``box``, with the frame's finer detail where both show the same.

    Args:
        painted: ``[h, w, 3] float32``, a part of the crop with its colours matched.
        part: where that lies in the crop.
        mouth: ``[40, 2]`` lips in crop pixels.
    """
    scale = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    corner = part[:2]
    real = to_rgb(frame, box)
    onto = matrix.astype(np.float64)
    onto[:, 2] += onto[:, :2] @ np.array(box[:2], np.float64) - corner
    # Averaged before it shrinks, as the crop itself may be: what is left over is the finer detail.
    source = cv2.GaussianBlur(real, (0, 0), 0.5 * scale) if scale > 1 else real
    size = (part[2] - part[0], part[3] - part[1])
    soft: Any = cv2.warpAffine(source, onto, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    soft = soft.astype(np.float32)
    keep = _same(painted, soft, mouth - corner)
    # painted + keep * (real - soft), of which all but keep * real is of the crop's size and warped as one.
    rest: Any = cv2.multiply(soft, cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB), dst=soft)
    rest = cv2.subtract(painted, rest, dst=rest)
    four: Any = cv2.cvtColor(rest, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(keep, four, 3)
    spread = averaged_px(scale)
    if spread:
        # Both alike: what one takes away of the frame around the lips, the other puts back.
        four = cv2.GaussianBlur(four, (0, 0), spread)
    four = laid(four, matrix, box, corner, cv2.INTER_CUBIC)
    there: Any = cv2.cvtColor(cv2.extractChannel(four, 3), cv2.COLOR_GRAY2RGB)
    there = cv2.multiply(real, there, dst=there, dtype=cv2.CV_32F)
    return np.asarray(cv2.add(there, cv2.cvtColor(four, cv2.COLOR_RGBA2RGB), dst=there), np.float32)


def _same(painted: Float, real: Float, mouth: Float) -> Float:
    """Where two pictures ``[h, w, 3]`` show the same: ``[h, w] float32``, 1 there, 0 elsewhere and on the lips."""
    red, green, blue = cv2.split(cv2.blur(cv2.subtract(painted, real), (5, 5)))
    apart = np.maximum(np.maximum(np.abs(red), np.abs(green)), np.abs(blue))
    keep = np.clip((OTHER_LEVELS - apart) / (OTHER_LEVELS - SAME_LEVELS), 0, 1)
    keep[_lip_area(mouth, LIP_ROOM_PX, keep.shape) > 0] = 0
    return np.asarray(cv2.GaussianBlur(keep, (0, 0), 2.0), np.float32)
