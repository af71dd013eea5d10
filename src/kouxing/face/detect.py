"""All faces in a picture: a quick look at the whole, and a thorough one for small or very large faces."""

from __future__ import annotations

import numpy as np

from kouxing.face.graphs import DetectorNetwork
from kouxing.face.picture import Picture
from kouxing.types import Float

LOOK_PX = 640
"""The whole is looked at in this size; the network itself reads 192 pixels."""

TILE = 0.7
"""Side of a tile in shorter sides of the picture."""

OVERLAP = 0.25
MOST = 12
"""Faces beyond so many are not told apart."""


class Detector:
    """Finds faces from about 60 pixels of width in 720p, thoroughly from about 30."""

    def __init__(self) -> None:
        self._far = DetectorNetwork(near=False)
        self._near: DetectorNetwork | None = None

    def faces(self, picture: Picture, thorough: bool = False) -> Float:
        """Faces, largest first.

        Args:
            picture: where to look.
            thorough: take several times as long when the quick look finds nothing.

        Returns:
            ``[F, 8] float32`` in picture pixels: box x, y, width, height, right eye x, y, left eye x, y.
        """
        image, ratio = picture.whole(LOOK_PX)
        scale = np.tile(ratio, 4)
        rows = self._far.faces(image) * scale
        if len(rows) == 0:
            if self._near is None:
                self._near = DetectorNetwork(near=True)
            rows = self._near.faces(image) * scale
        if len(rows) == 0 and thorough:
            rows = self._tiled(picture)
        rows = rows[np.isfinite(rows).all(1) & (rows[:, 2:4].min(1) > 4)]
        return np.asarray(rows[np.argsort(-rows[:, 2], kind="stable")][:MOST], np.float32)

    def _tiled(self, picture: Picture) -> Float:
        side = round(TILE * min(picture.width, picture.height))
        if side < 64:
            return np.zeros((0, 8), np.float32)
        found: list[Float] = []
        for y in _starts(picture.height, side):
            for x in _starts(picture.width, side):
                image, corner, ratio = picture.part((x, y, x + side, y + side), max(side // LOOK_PX, 1))
                for row in self._far.faces(image) * np.tile(ratio, 4):
                    row[[0, 4, 6]] += corner[0]
                    row[[1, 5, 7]] += corner[1]
                    # A face in two tiles' overlap is found twice.
                    if all(np.hypot(*(row[4:6] - other[4:6])) > 0.5 * row[2] for other in found):
                        found.append(row)
        return np.array(found, np.float32).reshape(-1, 8)

    def close(self) -> None:
        """Free the networks."""
        self._far.close()
        if self._near is not None:
            self._near.close()


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of ``side`` start so that they cover ``length`` with an overlap."""
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - OVERLAP)))) + 1
    return [round(v) for v in np.linspace(0, length - side, count)]
