"""Planes <-> RGB with the exact matrix and range, and blending RGB into planes without touching the rest."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.types import Bytes, Colour, Float, VideoFrame

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in luma pixels; x1 and y1 are outside."""

Planes = tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]

LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Kr and Kb of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance)."""

MATRIX_CODES = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""FFmpeg's numbers of them."""

UNTOLD = 2
"""Its number where nobody tells."""

HD_PX = 720
"""Untagged pictures with at least this many lines (or 1280 columns) are BT.709, as players take it."""


def bits_of(pixel_format: str) -> int:
    """Bits per sample: 8 or 10."""
    return 10 if pixel_format.endswith("10le") else 8


def chroma_step(pixel_format: str) -> tuple[int, int]:
    """Luma samples per chroma sample, in x and in y."""
    if "444" in pixel_format:
        return 1, 1
    return (2, 1) if "422" in pixel_format else (2, 2)


def matrix_of(colorspace: int, width: int, height: int) -> str:
    """Name of the matrix behind FFmpeg's colorspace number; guessed from the size where it is not told."""
    if colorspace in (9, 10):
        return "bt2020"
    if colorspace in (1, 7):
        return "bt709"
    if colorspace in (4, 5, 6):
        return "bt601"
    return "bt709" if height >= HD_PX or width >= 1280 else "bt601"


@lru_cache(maxsize=32)
def rgb_to_yuv(matrix: str, full_range: bool, bits: int) -> Float:
    """``[3, 4] float32``: RGB 0..255 and 1 -> samples of Y, U, V."""
    red, blue = LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    v = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    unit = 2 ** (bits - 8)
    spans = (2**bits - 1,) * 3 if full_range else (219 * unit, 224 * unit, 224 * unit)
    starts = (0 if full_range else 16 * unit, 128 * unit, 128 * unit)
    rows = [np.append(axis * span / 255, start) for axis, span, start in zip((luma, u, v), spans, starts, strict=True)]
    return np.array(rows).astype(np.float32)


@lru_cache(maxsize=32)
def yuv_to_rgb(matrix: str, full_range: bool, bits: int) -> Float:
    """``[3, 4] float32``: samples of Y, U, V and 1 -> RGB 0..255; the inverse of ``rgb_to_yuv``."""
    forward = np.vstack([rgb_to_yuv(matrix, full_range, bits).astype(np.float64), [0, 0, 0, 1]])
    return np.linalg.inv(forward)[:3].astype(np.float32)


def to_rgb(frame: VideoFrame, box: Box | None = None) -> Bytes:
    """The picture, or ``box`` of it, as ``[h, w, 3] uint8`` RGB.

    Chroma is interpolated between its samples; 10-bit planes are rounded to 8 bits first.

    Raises:
        ValueError: the box is empty or leaves the picture.
    """
    x0, y0, x1, y1 = _checked(frame, box)
    step_x, step_y = chroma_step(frame.colour.pixel_format)
    luma = _eight(frame.planes[0][y0:y1, x0:x1], frame.colour)
    # One chroma sample more on each side, so that a box gives the same values as the whole picture.
    c0, r0 = max(0, x0 // step_x - 1), max(0, y0 // step_y - 1)
    c1, r1 = -(-x1 // step_x) + 1, -(-y1 // step_y) + 1
    chroma = []
    for plane in frame.planes[1:]:
        part = _eight(plane[r0:r1, c0:c1], frame.colour)
        if (step_x, step_y) != (1, 1):
            size = (part.shape[1] * step_x, part.shape[0] * step_y)
            part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
        left, top = x0 - c0 * step_x, y0 - r0 * step_y
        chroma.append(part[top : top + y1 - y0, left : left + x1 - x0])
    pixels = cv2.merge([luma, *chroma])
    return np.asarray(cv2.transform(pixels, yuv_to_rgb(frame.colour.matrix, frame.colour.full_range, 8)), np.uint8)


def blend_rgb(frame: VideoFrame, box: Box, rgb: Bytes | Float, alpha: Float) -> VideoFrame:
    """``frame`` with ``rgb`` laid over it inside ``box``.

    Args:
        frame: left as it is.
        box: x0, y0, x1, y1 in luma pixels, within the picture.
        rgb: ``[y1-y0, x1-x0, 3]`` uint8 or float32, 0..255, finite.
        alpha: ``[y1-y0, x1-x0] float32``, 0..1: share of ``rgb``.

    Returns:
        A frame with new planes. A luma sample changes only where alpha > 0; a chroma sample only where the alpha of a
        luma sample that it covers is > 0 (its alpha is their mean). All others are the same bits.

    Raises:
        ValueError: the box leaves the picture, or shapes disagree.
    """
    x0, y0, x1, y1 = _checked(frame, box)
    shape = (y1 - y0, x1 - x0)
    if rgb.shape != (*shape, 3) or alpha.shape != shape:
        raise ValueError(f"box {box} needs rgb {(*shape, 3)} and alpha {shape}, got {rgb.shape} and {alpha.shape}")
    alpha = np.ascontiguousarray(alpha, np.float32)
    matrix = rgb_to_yuv(frame.colour.matrix, frame.colour.full_range, bits_of(frame.colour.pixel_format))
    samples: Any = cv2.transform(np.ascontiguousarray(rgb, np.float32), matrix)
    luma, u, v = cv2.split(samples)
    planes = [plane.copy() for plane in frame.planes]
    _lay(planes[0][y0:y1, x0:x1], luma, alpha, frame.colour)

    step_x, step_y = chroma_step(frame.colour.pixel_format)
    c0, r0, c1, r1 = x0 // step_x, y0 // step_y, -(-x1 // step_x), -(-y1 // step_y)
    if (step_x, step_y) == (1, 1):
        share: Any = alpha
    else:
        weighted: Any = cv2.merge([alpha, u * alpha, v * alpha])
        share, u, v = cv2.split(_cell_means(frame, weighted, (x0, y0, x1, y1)))
        # Back from alpha-weighted sums; where the share is 0 the value does not matter.
        safe = np.maximum(share, 1e-6)
        u, v = u / safe, v / safe
    for plane, value in zip(planes[1:], (u, v), strict=True):
        _lay(plane[r0:r1, c0:c1], value, share, frame.colour)
    return VideoFrame((planes[0], planes[1], planes[2]), frame.pts, frame.time_base, frame.colour)


def planes_from_rgb(rgb: Bytes, colour: Colour) -> Planes:
    """``[h, w, 3]`` uint8 RGB as planes in ``colour``; chroma is the mean of the pixels it covers."""
    height, width = rgb.shape[:2]
    step_x, step_y = chroma_step(colour.pixel_format)
    bits = bits_of(colour.pixel_format)
    kind = np.uint8 if bits == 8 else np.uint16
    blank = (
        np.zeros((height, width), kind),
        *(np.zeros((-(-height // step_y), -(-width // step_x)), kind) for _ in range(2)),
    )
    parts: list[NDArray[Any]] = list(blank)
    luma, u, v = cv2.split(cv2.transform(rgb.astype(np.float32), rgb_to_yuv(colour.matrix, colour.full_range, bits)))
    chroma = cv2.merge([u, v])
    right, bottom = -width % step_x, -height % step_y
    chroma = cv2.copyMakeBorder(chroma, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    size = (parts[1].shape[1], parts[1].shape[0])
    chroma = cv2.resize(chroma, size, interpolation=cv2.INTER_AREA)
    for part, value in zip(parts, (luma, *cv2.split(chroma)), strict=True):
        part[:] = np.clip(np.rint(value), 0, 2**bits - 1)
    return parts[0], parts[1], parts[2]


def _checked(frame: VideoFrame, box: Box | None) -> Box:
    whole = (0, 0, frame.width, frame.height)
    x0, y0, x1, y1 = box or whole
    if not (0 <= x0 < x1 <= frame.width and 0 <= y0 < y1 <= frame.height):
        raise ValueError(f"box {box} is empty or leaves the {frame.width}x{frame.height} picture")
    return x0, y0, x1, y1


def _eight(plane: NDArray[Any], colour: Colour) -> NDArray[Any]:
    """8 bits per sample."""
    if bits_of(colour.pixel_format) == 8:
        return plane
    return cv2.convertScaleAbs(plane, alpha=255 / 1023 if colour.full_range else 0.25)


def _cell_means(frame: VideoFrame, values: Any, box: Box) -> Any:
    """Mean of ``[h, w, C]`` values over each chroma sample's luma pixels; what lies outside the box counts as 0."""
    x0, y0, x1, y1 = box
    step_x, step_y = chroma_step(frame.colour.pixel_format)
    right, bottom = -x1 % step_x, -y1 % step_y
    # A last odd column has no second pixel, so its chroma is that of the one pixel there is.
    if x1 == frame.width and right:
        values, right = cv2.copyMakeBorder(values, 0, 0, 0, right, cv2.BORDER_REPLICATE), 0
    if y1 == frame.height and bottom:
        values, bottom = cv2.copyMakeBorder(values, 0, bottom, 0, 0, cv2.BORDER_REPLICATE), 0
    if right or bottom or x0 % step_x or y0 % step_y:
        top, left = y0 % step_y, x0 % step_x
        values = cv2.copyMakeBorder(values, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    size = (values.shape[1] // step_x, values.shape[0] // step_y)
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _lay(plane: NDArray[Any], value: Any, alpha: Float, colour: Colour) -> None:
    """``plane += alpha * (value - plane)``, rounded, in place; with alpha 0 the sample comes back as it was."""
    old = plane.astype(np.float32)
    value = cv2.subtract(value, old)
    cv2.multiply(value, alpha, dst=value)
    cv2.add(value, old, dst=value)
    np.rint(value, out=value)
    np.clip(value, 0, 2 ** bits_of(colour.pixel_format) - 1, out=value)
    plane[:] = value
