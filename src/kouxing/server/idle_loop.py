"""Footage that never ends: a piece of it is played forth and back, so that no picture jumps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kouxing.types import Bool, Float

TRIM_SHARE = 8
"""So manieth of the piece at either end is searched for a calm moment to turn round in."""


def place(number: int, length: int) -> int:
    """Which of ``length`` pictures stands at ``number``: 0 1 2 3 2 1 0 1 ..., neither end twice.

    Raises:
        ValueError: no picture, or a negative number.
    """
    if length < 1 or number < 0:
        raise ValueError(f"no picture {number} in a loop of {length}")
    if length == 1:
        return 0
    turn = 2 * (length - 1)
    at = number % turn
    return at if at < length else turn - at


def choose(present: Bool, cut: Bool, speed: Float, longest: int) -> tuple[int, int]:
    """The piece of the footage to be looped.

    Args:
        present: ``[T]``: frames with the face.
        cut: ``[T]``: True where a new shot starts.
        speed: ``[T] float32``: how far the head moves from each frame to the next; any unit.
        longest: frames that may be taken.

    Returns:
        first, last + 1: the longest run of frames with the face in one shot, at most ``longest`` of them, its ends
        moved inwards to where the head moves least, for there it turns round.

    Raises:
        ValueError: no frame shows the face.
    """
    if not present.any():
        raise ValueError("no frame shows the face")
    run = np.where(present, np.cumsum(cut), -1)
    edges = np.flatnonzero(np.diff(run)) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(run)]])
    runs = [(int(a), int(b)) for a, b in zip(starts, stops, strict=True) if run[a] >= 0]
    first, stop = max(runs, key=lambda one: one[1] - one[0])
    stop = min(stop, first + longest)
    trim = (stop - first) // TRIM_SHARE
    if trim < 1:
        return first, stop
    calm = _smoothed(speed)
    return first + int(np.argmin(calm[first : first + trim])), stop - int(np.argmin(calm[stop - trim : stop][::-1]))


def _smoothed(speed: Float) -> NDArray[np.float64]:
    return np.convolve(np.pad(speed, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
