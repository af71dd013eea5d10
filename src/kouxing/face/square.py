"""The upright square around a face that the mesh network reads, and the points it finds there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from kouxing.face.graphs import MESH_PX, MeshNetwork
from kouxing.face.picture import Picture
from kouxing.types import Bytes, Float

MESH_SPAN = 1.4
"""Side of the square in extents of the mesh. Of 1.3 to 1.7, this gave inner-lip gaps most like the reference tracks."""

BOX_SPAN = 1.5
"""Side of the square in sides of a detector's box: what the network was trained on."""

RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
FACE_POINTS = 468
"""Points before the irises."""

DRIFT = 0.04
GROWTH = 0.08
TILT = 0.08
"""A square is kept until the face has moved (share of the side), grown (logarithm) or tilted (radians) by more: one
that follows every frame adds its own jitter to the points."""

STALE = 0.12
"""Where the face has moved by more of the side than this since the last picture, it is read twice."""

LEAST_PX = 16.0
"""Smaller squares hold no face that can be read."""


Look = Callable[[Picture, "Square"], "Float | None"]
"""Points ``[478, 2]`` of the face in a square of a picture, in its pixels."""


@dataclass(frozen=True)
class Square:
    """A turned square in picture pixels; ``angle`` in radians, clockwise as seen, 0 upright."""

    x: float
    y: float
    side: float
    angle: float

    def matrix(self) -> Float:
        """``[2, 3] float64``: picture pixels -> pixels of the mesh network's picture (corner is 0, 0 in both)."""
        scale = MESH_PX / self.side
        cos, sin = scale * np.cos(self.angle), scale * np.sin(self.angle)
        half = MESH_PX / 2
        return np.array(
            [[cos, sin, half - (cos * self.x + sin * self.y)], [-sin, cos, half + (sin * self.x - cos * self.y)]]
        )

    def outwards(self, points: Float) -> Float:
        """``[N, 2]`` pixels of the mesh network's picture -> picture pixels."""
        back = np.asarray(cv2.invertAffineTransform(self.matrix()))
        return np.asarray(points @ back[:, :2].T + back[:, 2], np.float32)

    def moved(self, other: Square) -> float:
        """Distance of the middles in sides of this square."""
        return float(np.hypot(other.x - self.x, other.y - self.y)) / self.side

    def grown(self, other: Square) -> float:
        """Logarithm of the sides' ratio, without sign."""
        return abs(float(np.log(max(other.side, 1e-3) / self.side)))

    def holds(self, other: Square) -> bool:
        """Whether ``other`` is so close that this square can stay."""
        turned = (other.angle - self.angle + np.pi) % (2 * np.pi) - np.pi
        return self.moved(other) < DRIFT and self.grown(other) < GROWTH and abs(turned) < TILT


def around_mesh(points: Float) -> Square:
    """The square around ``[478, 2]`` points."""
    step = points[list(LEFT_EYE)].mean(0) - points[list(RIGHT_EYE)].mean(0)
    angle = float(np.arctan2(step[1], step[0]))
    cos, sin = np.cos(angle), np.sin(angle)
    level = points[:FACE_POINTS] @ np.array([[cos, -sin], [sin, cos]])
    low, high = level.min(0), level.max(0)
    x, y = (low + high) / 2
    return Square(float(cos * x - sin * y), float(sin * x + cos * y), float((high - low).max()) * MESH_SPAN, angle)


def around_box(row: Float) -> Square:
    """The square around one row of ``graphs.DetectorNetwork.faces``."""
    step = row[6:8] - row[4:6]
    angle = float(np.arctan2(step[1], step[0]))
    x, y = row[:2] + row[2:4] / 2
    return Square(float(x), float(y), float(row[2:4].max()) * BOX_SPAN, angle)


def sampled(picture: Picture, square: Square) -> Bytes | None:
    """What a square shows, ``[192, 192, 3] uint8``; None where it is too small or outside of the picture."""
    if not square.side >= LEAST_PX:
        return None
    reach = square.side / 2 * (abs(np.cos(square.angle)) + abs(np.sin(square.angle)))
    box = tuple(round(v) for v in (square.x - reach, square.y - reach, square.x + reach, square.y + reach))
    shrink = max(int(square.side / (1.25 * MESH_PX)), 1)
    image, corner, ratio = picture.part((box[0], box[1], box[2], box[3]), shrink)
    if image.size == 0:
        return None
    onto = square.matrix()
    onto[:, 2] += onto[:, :2] @ corner
    onto[:, :2] *= ratio
    # OpenCV's 0, 0 is the middle of the first pixel, ours its corner.
    onto[:, 2] += onto[:, :2] @ np.array([0.5, 0.5]) - 0.5
    sample = cv2.warpAffine(image, onto, (MESH_PX, MESH_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sample, np.uint8)


def read(network: MeshNetwork, picture: Picture, square: Square) -> Float | None:
    """The face in a square of a picture: ``[478, 2] float32`` in picture pixels, or None."""
    image = sampled(picture, square)
    points = None if image is None else network.points(image)
    return None if points is None else square.outwards(points)


def locate(look: Look, picture: Picture, square: Square) -> tuple[Float, Square] | None:
    """Read a face near a square that may be a little off.

    Args:
        look: ``read`` of a network.
        picture: where the face is.
        square: about where.

    Returns:
        ``[478, 2] float32`` points in picture pixels and the square to start from in the next picture, or None where no
        face is.
    """
    points = look(picture, square)
    if points is None:
        return None
    new = around_mesh(points)
    if square.moved(new) > STALE or square.grown(new) > 2 * STALE:
        points = look(picture, new)
        if points is None:
            return None
        square, new = new, around_mesh(points)
    if not LEAST_PX <= new.side < 8 * max(picture.width, picture.height):
        return None
    return points, square if square.holds(new) else new
