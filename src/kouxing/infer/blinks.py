"""Blinks: speech does not tell of them, so they are drawn at random, the same for the same seed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.types import Float

EVERY_S = 3.5
"""Median time between blinks of people who talk (Bentivoglio et al. 1997: 26 a minute in conversation, 17 at rest)."""
SPREAD = 0.6
"""Of the logarithm of that time."""
SHUT_S, OPEN_S = 0.08, 0.16
"""Eyelids fall faster than they rise."""
LEFT, RIGHT = PLACE["eyeBlinkLeft"], PLACE["eyeBlinkRight"]


class Blinks:
    """Adds blinks to rows as they come; in one piece or in many, the same rows get the same blinks.

    Args:
        rate: rows per second.
        seed: source of chance.
    """

    def __init__(self, rate: Fraction, seed: int = 0) -> None:
        self._rate, self._rng, self._row = rate, np.random.default_rng(seed), 0
        self._peak_s = self._pause() / 2

    def _pause(self) -> float:
        return float(EVERY_S * np.exp(self._rng.normal(0, SPREAD)))

    def add(self, rows: Float) -> Float:
        """``[n, 52]`` -> the same with both eyes' blinks, ``[n, 52]``."""
        if rows.ndim != 2 or rows.shape[1] != len(COEFFICIENTS):
            raise ValueError(f"rows must be [n, {len(COEFFICIENTS)}], got {rows.shape}")
        made = rows.copy()
        for place in range(len(rows)):
            now = float(Fraction(self._row) / self._rate)
            self._row += 1
            if now > self._peak_s + OPEN_S:
                # Never two at once: the next one begins after this one has ended.
                self._peak_s += SHUT_S + OPEN_S + self._pause()
            away = self._peak_s - now
            share = 1 - away / SHUT_S if away > 0 else 1 + away / OPEN_S
            smooth = float(np.clip(share, 0, 1))
            lid = smooth * smooth * (3 - 2 * smooth)
            for column in (LEFT, RIGHT):
                made[place, column] = max(made[place, column], lid)
        return made
