"""How a stored picture must be turned to stand upright: display matrix of videos, EXIF of JPEG files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Turn:
    """Mirror left-right first (if ``mirror``), then ``quarters`` quarter turns counter-clockwise."""

    quarters: int = 0
    mirror: bool = False

    @property
    def swaps(self) -> bool:
        """Whether width and height change places."""
        return self.quarters % 2 == 1

    def __bool__(self) -> bool:
        return self.mirror or self.quarters != 0

    def plane(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """The plane turned; a contiguous copy."""
        return np.ascontiguousarray(np.rot90(plane[:, ::-1] if self.mirror else plane, self.quarters))


EXIF_TURNS = {
    1: Turn(),
    2: Turn(0, True),
    3: Turn(2),
    4: Turn(2, True),
    5: Turn(1, True),
    6: Turn(3),
    7: Turn(3, True),
    8: Turn(1),
}


def turn_of(frame: Any, path: Path) -> Turn:
    """The turn that the file asks for, from its first decoded frame."""
    if frame.format.name.startswith(("yuvj", "gray", "rgb", "gbr", "cmyk")) and _is_jpeg(path):
        return EXIF_TURNS[_jpeg_orientation(path)]
    try:
        data = frame.side_data
        matrix = np.frombuffer(data["DISPLAYMATRIX"], np.int32) if data else None
    except (KeyError, ValueError):  # no matrix; or side data of a type that PyAV cannot name
        matrix = None
    if matrix is None:
        return Turn(round(frame.rotation / 90) % 4)
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    mirror = a * d - b * c < 0
    if mirror:
        a, b = -a, -b
    return Turn(round(math.degrees(math.atan2(-b, a)) / 90) % 4, mirror)


def turned(
    planes: tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]], turn: Turn
) -> tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]:
    """All three planes turned.

    Chroma that is halved in one direction only (4:2:2) is resampled to stay halved in the same direction.
    """
    luma, u, v = (turn.plane(plane) for plane in planes)
    one_way = planes[0].shape[0] == planes[1].shape[0] and planes[0].shape[1] != planes[1].shape[1]
    if turn.swaps and one_way:
        size = ((luma.shape[1] + 1) // 2, luma.shape[0])
        chroma: list[Any] = [u, v]
        u, v = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in chroma)
    return luma, u, v


def _is_jpeg(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def _jpeg_orientation(path: Path) -> int:
    """EXIF orientation 1..8; 1 where there is none that makes sense."""
    with open(path, "rb") as file:
        file.seek(2)
        while True:
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
                return 1
            size = int.from_bytes(head[2:], "big") - 2
            if size < 0:
                return 1
            body = file.read(size)
            if head[1] == 0xE1 and body.startswith(b"Exif\0\0"):
                return _tiff_orientation(body[6:])


def _tiff_orientation(tiff: bytes) -> int:
    order = {b"MM": "big", b"II": "little"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return 1

    def number(start: int, length: int) -> int:
        return int.from_bytes(tiff[start : start + length], "big" if order == "big" else "little")

    first = number(4, 4)
    for entry in range(first + 2, min(first + 2 + 12 * number(first, 2), len(tiff) - 11), 12):
        if number(entry, 2) == 0x0112:
            value = number(entry + 8, 2)
            return value if value in EXIF_TURNS else 1
    return 1
