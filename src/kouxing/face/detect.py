"""All faces in a picture: a quick look at the whole, and a thorough one for small or very large faces."""

from __future__ import annotations

import numpy as np

from kouxing.face.graphs import MESH_PX, DetectorNetwork
from kouxing.face.picture import Picture
from kouxing.face.square import Square, around_box, sampled
from kouxing.types import Float

LOOK_PX = 640
"""The whole is looked at in this size; the network itself reads 192 pixels."""

TILE = 0.7
"""Side of a tile in shorter sides of the picture."""

OVERLAP = 0.25
MOST = 12
"""Faces beyond so many are not told apart."""

SURE = 0.8
"""Faces that lie on their side or stand on their heads are seen with less sureness (on their heads .50 to .78), and
their eyes not where they are."""

TURNED = 0.1
"""A face that is seen with so much more sureness after a turn is turned so."""

AROUND = 4 / 3
"""Side of the square in which that is looked at, in sides of the square that is read."""


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
        rows, sure = self._far.faces(image) * scale, self._far.sure
        if len(rows) == 0:
            near = self._closer()
            rows, sure = near.faces(image) * scale, near.sure
        if len(rows) == 0 and thorough:
            rows, sure = self._tiled(picture)
        whole = np.isfinite(rows).all(1) & (rows[:, 2:4].min(1) > 4)
        rows, sure = rows[whole], sure[whole]
        largest = np.argsort(-rows[:, 2], kind="stable")[:MOST]
        for place in largest[sure[largest] < SURE]:
            rows[place] = self._upright(picture, rows[place])
        return np.asarray(rows[largest], np.float32)

    def _closer(self) -> DetectorNetwork:
        if self._near is None:
            self._near = DetectorNetwork(near=True)
        return self._near

    def _upright(self, picture: Picture, row: Float) -> Float:
        """The face as it is seen after a quarter, half or three quarters of a turn, if it is seen better so."""
        square = around_box(row)
        square = Square(square.x, square.y, AROUND * square.side, square.angle)
        image = sampled(picture, square)
        if image is None:
            return row
        near = self._closer()
        seen = []
        for quarters in range(4):
            rows = near.faces(np.ascontiguousarray(np.rot90(image, quarters)))
            seen.append(max(zip(near.sure.tolist(), rows, strict=True), key=lambda one: one[0], default=(0.0, row)))
        quarters = int(np.argmax([sure for sure, _ in seen]))
        if seen[quarters][0] < seen[0][0] + TURNED:
            return row
        best = seen[quarters][1]
        turned = Square(square.x, square.y, square.side, square.angle + quarters * np.pi / 2)
        middle = best[:2] + best[2:4] / 2
        points = turned.outwards(np.stack([middle, best[4:6], best[6:8]]))
        side = float(best[2:4].max()) * square.side / MESH_PX
        return np.concatenate([points[0] - side / 2, (side, side), points[1], points[2]]).astype(np.float32)

    def _tiled(self, picture: Picture) -> tuple[Float, Float]:
        side = round(TILE * min(picture.width, picture.height))
        if side < 64:
            return np.zeros((0, 8), np.float32), np.zeros(0, np.float32)
        found: list[Float] = []
        sure: list[float] = []
        for y in _starts(picture.height, side):
            for x in _starts(picture.width, side):
                image, corner, ratio = picture.part((x, y, x + side, y + side), max(side // LOOK_PX, 1))
                rows = self._far.faces(image) * np.tile(ratio, 4)
                for row, how in zip(rows, self._far.sure, strict=True):
                    row[[0, 4, 6]] += corner[0]
                    row[[1, 5, 7]] += corner[1]
                    # A face in two tiles' overlap is found twice.
                    if all(np.hypot(*(row[4:6] - other[4:6])) > 0.5 * row[2] for other in found):
                        found.append(row)
                        sure.append(float(how))
        return np.array(found, np.float32).reshape(-1, 8), np.array(sure, np.float32)

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
