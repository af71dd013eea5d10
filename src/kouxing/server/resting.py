"""The face of a session while no sound is on: idle motion, eased into from the last face that spoke."""

from __future__ import annotations

import numpy as np

from kouxing.arkit import COEFFICIENTS
from kouxing.server.faces import MOOD, MOUTH
from kouxing.server.idle import MOVED_IDLE, Idle
from kouxing.server.protocol import Rows
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

LEFT_OUT = MOVED_IDLE.copy()
LEFT_OUT[[place for place in MOUTH if place not in MOOD]] = True
"""``[52]``: what a mood does not hold."""
CLOSING = 6
"""Rows (0.1 s) in which a mouth comes to rest when speech is cut off."""


class Resting:
    """Rows at rest.

    Args:
        seed: of the idle motion.
    """

    def __init__(self, seed: int) -> None:
        self._idle = Idle(seed)
        self._mood = np.zeros(len(COEFFICIENTS), np.float32)
        self._from: tuple[int, Float] | None = None

    def hold(self, face: Float) -> None:
        """Keep the mood of a face ``[52]``, the mean of its speech; lips, eyes and breath have their own ways."""
        self._mood = np.where(LEFT_OUT, 0, face).astype(np.float32)

    def ease(self, first: int, face: Float | None) -> None:
        """Come to rest from a face ``[52]``, which row ``first`` is the first to leave."""
        self._from = None if face is None else (first, face)

    def rows(self, first: int, until: int, idle: bool) -> Rows:
        """Rows ``first`` up to, not with, ``until``.

        Args:
            first, until: numbers; at least one row.
            idle: whether the face moves at all.
        """
        numbers = np.arange(first, until, dtype=np.int64)
        times = numbers * SAMPLE_HZ // COEFFICIENT_HZ
        values = np.zeros((len(numbers), len(COEFFICIENTS)), np.float32)
        if idle:
            values = np.maximum(self._mood, self._idle.rows(first, len(numbers)))
        if self._from is None:
            return Rows(times, values, True)
        began, face = self._from
        share = np.clip((numbers - began + 1) / CLOSING, 0, 1).astype(np.float32)[:, None]
        share = share * share * (3 - 2 * share)
        if share[-1] == 1:
            self._from = None
        return Rows(times, face + share * (values - face), bool((share == 1).all()))
