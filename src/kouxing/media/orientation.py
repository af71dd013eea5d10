"""How a stored picture must be turned to stand upright: display matrix of videos, EXIF of photos."""

from __future__ import annotations

import math
import warnings
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

TURNED_BY_EXIF = {"JPEG", "MPO", "PNG", "WEBP", "TIFF"}
"""Kinds of photos, as Pillow names them."""


def turn_of(frame: Any, photo: Path | None) -> Turn:
    """The turn that the file asks for.

    Args:
        frame: its first, as PyAV decoded it.
        photo: the file, where it is a still picture.
    """
    told = None if photo is None else _orientation(photo)
    if told is not None:
        return EXIF_TURNS[told]
    # PyAV frees the notes of a picture's colour profile twice, so that nothing else of a picture is looked at.
    matrix = _matrix(frame) if photo is None else None
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


def _matrix(frame: Any) -> NDArray[np.int32] | None:
    try:
        data = frame.side_data
        return np.frombuffer(data["DISPLAYMATRIX"], np.int32) if data else None
    except (KeyError, ValueError):  # no matrix; or side data of a type that PyAV cannot name
        return None


def _orientation(photo: Path) -> int | None:
    """EXIF orientation 1..8, 1 where none makes sense; None of files that have theirs elsewhere."""
    # Not loaded for videos.
    from PIL import ExifTags, Image

    with warnings.catch_warnings():
        # Of size, which is no matter here, and of damaged EXIF.
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(photo)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        with opened:
            if opened.format not in TURNED_BY_EXIF:
                return None
            try:
                told = opened.getexif().get(ExifTags.Base.Orientation, 1)
            except Exception:  # noqa: BLE001 - whatever damaged EXIF makes of its reader, the picture is there
                return 1
    return told if told in EXIF_TURNS else 1
