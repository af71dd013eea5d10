"""The face of somebody who is not speaking: blinks, breath, small gaze. A pure function of time and seed.

Nothing here touches mouth or jaw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

SLOT_S = 3.5
"""One blink in each stretch of so long (17 a minute at rest, Bentivoglio et al. 1997), at a random moment of it."""
MARGIN_S = 0.3
"""From the stretch's ends, so that blinks never meet."""
SHUT_S, OPEN_S = 0.08, 0.16
"""Eyelids fall faster than they rise."""
LOOK_S, TURN_S, LOOK = 1.7, 0.05, 0.10
"""The gaze holds still for about so long, jumps in so long, and strays so far."""
BREATH_S, BREATH = 4.0, 0.025
"""A breath (15 a minute), seen at nostrils and brows."""

LIDS = [PLACE["eyeBlinkLeft"], PLACE["eyeBlinkRight"]]
BREATHING = [PLACE["noseSneerLeft"], PLACE["noseSneerRight"], PLACE["browInnerUp"]]
# Looking to the face's left turns the left eye out and the right eye in.
TO_LEFT = [PLACE["eyeLookOutLeft"], PLACE["eyeLookInRight"]]
TO_RIGHT = [PLACE["eyeLookInLeft"], PLACE["eyeLookOutRight"]]
UP = [PLACE["eyeLookUpLeft"], PLACE["eyeLookUpRight"]]
DOWN = [PLACE["eyeLookDownLeft"], PLACE["eyeLookDownRight"]]
MOVED_IDLE = np.zeros(len(COEFFICIENTS), bool)
MOVED_IDLE[[*LIDS, *BREATHING, *TO_LEFT, *TO_RIGHT, *UP, *DOWN]] = True
"""``[52]``: what idle motion moves."""


def idle(times: NDArray[np.int64], seed: int) -> Float:
    """Idle motion.

    Args:
        times: ``[n]`` samples on the session's clock.
        seed: of chance; the same seed gives the same face at the same time.

    Returns:
        ``[n, 52] float32``, 0..1.
    """
    seconds = times / SAMPLE_HZ
    made = np.zeros((len(times), len(COEFFICIENTS)), np.float32)
    made[:, LIDS] = _lids(seconds, seed)[:, None]
    made[:, BREATHING] = (BREATH / 2 * (1 - np.cos(2 * np.pi * seconds / BREATH_S)))[:, None]
    for axis, (less, more) in enumerate(((TO_RIGHT, TO_LEFT), (DOWN, UP))):
        aside = _gaze(seconds, seed, axis)
        made[:, more] = np.maximum(aside, 0)[:, None]
        made[:, less] = np.maximum(-aside, 0)[:, None]
    return made


class Idle:
    """Idle motion row by row; made a second at a time, which costs no more than one row.

    Args:
        seed: see ``idle``.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._page = -1
        self._rows = np.zeros((0, len(COEFFICIENTS)), np.float32)

    def rows(self, first: int, count: int) -> Float:
        """Rows ``first`` to ``first + count`` of the session, ``[count, 52]``."""
        made = [np.zeros((0, len(COEFFICIENTS)), np.float32)]
        while count > 0:
            page, place = divmod(first, COEFFICIENT_HZ)
            if page != self._page:
                numbers = np.arange(page * COEFFICIENT_HZ, (page + 1) * COEFFICIENT_HZ, dtype=np.int64)
                self._page, self._rows = page, idle(numbers * SAMPLE_HZ // COEFFICIENT_HZ, self._seed)
            made.append(self._rows[place : place + count])
            first, count = first + len(made[-1]), count - len(made[-1])
        return np.concatenate(made)


def _lids(seconds: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    slot = np.floor(seconds / SLOT_S)
    peak = slot * SLOT_S + MARGIN_S + _chance(slot, seed, 0) * (SLOT_S - 2 * MARGIN_S)
    away = peak - seconds
    share = np.clip(np.where(away > 0, 1 - away / SHUT_S, 1 + away / OPEN_S), 0, 1)
    return share * share * (3 - 2 * share)


def _gaze(seconds: NDArray[np.float64], seed: int, axis: int) -> NDArray[np.float64]:
    slot = np.floor(seconds / LOOK_S)
    # Within its slot the gaze jumps at a random moment from the slot's old place to its new one.
    jump = (slot + 0.1 + 0.8 * _chance(slot, seed, 1)) * LOOK_S
    share = np.clip((seconds - jump) / TURN_S, 0, 1)
    share = share * share * (3 - 2 * share)
    old, new = (LOOK * (2 * _chance(slot + more, seed, 2 + axis) - 1) for more in (0, 1))
    return old + share * (new - old)


def _chance(slot: NDArray[np.float64], seed: int, use: int) -> NDArray[np.float64]:
    """0..1 for each slot: SplitMix64 (Steele et al. 2014) of slot, seed and use."""
    with np.errstate(over="ignore"):
        state = slot.astype(np.int64).astype(np.uint64) * np.uint64(8) + np.uint64(use)
        state = state + np.uint64(seed & 0xFFFFFFFF) * np.uint64(0x9E3779B97F4A7C15)
        state = (state + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53
