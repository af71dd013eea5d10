"""The people of a video: who is who from picture to picture, by place, size and looks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from kouxing.face.look import SAME, STRANGER, Looks, look
from kouxing.face.picture import Picture
from kouxing.face.square import LEFT_EYE, RIGHT_EYE, Square, around_box, around_mesh
from kouxing.types import Float

LONG_GAP = 12
"""Frames after which a face may be anywhere in the picture."""

REACH = 0.75
REACH_PER_FRAME = 0.25
"""How far a face gets in its sizes: at once, and more for every frame it was not seen."""

GROWTH = 0.5
"""Largest logarithm of the size's ratio within a short gap."""

CHANGED_LIGHT = 1.2
"""In its place a face is taken for itself up to this difference of looks: light and pose change them."""

NEAR = 1.7
"""Closer than so many sizes, two faces may be mistaken for each other."""

BLINK = 2
"""Gap in frames in which nobody changes places."""

_NEVER = 1e6


@dataclass(frozen=True)
class Sighting:
    """A face in one picture: eyes' middle ``[2]`` and size in pixels, where to read it, its looks."""

    centre: Float
    size: float
    square: Square
    look: Float


def sighting_of_box(picture: Picture, row: Float) -> Sighting:
    """From one row of ``detect.Detector.faces``."""
    square = around_box(row)
    return Sighting((row[4:6] + row[6:8]) / 2, square.side / 1.5, square, look(picture, row[4:6], row[6:8]))


def place_of_mesh(points: Float) -> tuple[Float, float]:
    """Eyes' middle ``[2]`` and size, as in ``Sighting``, of ``[478, 2]`` mesh points."""
    return points[list(RIGHT_EYE + LEFT_EYE)].mean(0), around_mesh(points).side / 1.5


def look_of_mesh(picture: Picture, points: Float) -> Float:
    """Looks of the face with ``[478, 2]`` mesh points."""
    return look(picture, points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0))


@dataclass
class Person:
    """One face over time."""

    looks: Looks
    centre: Float
    size: float
    seen: int
    velocity: Float = field(default_factory=lambda: np.zeros(2, np.float32))

    @staticmethod
    def of(sighting: Sighting, now: int) -> Person:
        """Somebody seen for the first time."""
        return Person(Looks(sighting.look), sighting.centre, sighting.size, now)

    def expected(self, now: int) -> Float:
        """Where the face should be in frame ``now``: straight on for half a second, then no farther."""
        return self.centre + self.velocity * min(now - self.seen, LONG_GAP)

    def move(self, centre: Float, size: float, now: int, jumped: bool = False) -> None:
        """Take in a new place."""
        frames = max(now - self.seen, 1)
        if jumped:
            self.velocity = np.zeros(2, np.float32)
        else:
            self.velocity = 0.6 * self.velocity + 0.4 * (centre - self.centre) / frames
        self.centre, self.size, self.seen = centre, size, now

    def cost(self, sighting: Sighting, now: int, new_shot: bool, crowded: bool) -> float:
        """How unlikely the sighting is this person's; ``_NEVER`` where it is out of the question."""
        unlike = self.looks.unlike(sighting.look)
        gap = now - self.seen
        if new_shot or gap > LONG_GAP:
            limit = self._limit(new_shot, crowded)
            return unlike / limit if unlike < limit else _NEVER
        away = float(np.hypot(*(sighting.centre - self.expected(now)))) / self.size
        reach = REACH + REACH_PER_FRAME * gap
        grown = abs(float(np.log(sighting.size / self.size)))
        if away > reach or grown > GROWTH:
            # Faster than thought, or footage with pictures left out.
            return 1.0 + unlike / SAME if unlike < SAME / 2 else _NEVER
        limit = CHANGED_LIGHT if gap <= BLINK else self._limit(new_shot, crowded)
        return 0.5 * away / reach + unlike / STRANGER if unlike < limit else _NEVER

    @staticmethod
    def _limit(new_shot: bool, crowded: bool) -> float:
        """Largest difference of looks at which somebody is the same person, going by looks alone.

        With nobody else ever in the picture, another pose or camera angle is likelier than another face.
        """
        between = (SAME + STRANGER) / 2
        if new_shot:
            return between if crowded else STRANGER
        return SAME if crowded else between


def assign(people: list[Person], sightings: list[Sighting], now: int, new_shot: bool) -> list[int | None]:
    """Who is who: for each person the place in ``sightings``, or None; together as likely as can be."""
    result: list[int | None] = [None] * len(people)
    if not people or not sightings:
        return result
    crowded = len(people) > 1
    costs = np.array([[p.cost(s, now, new_shot, crowded) for s in sightings] for p in people])
    for row, column in zip(*linear_sum_assignment(costs), strict=True):
        if costs[row, column] < _NEVER:
            result[row] = int(column)
    return result
