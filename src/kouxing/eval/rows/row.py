"""A line of a table of figures."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: what was measured.
        sign: how the figure compares with the goal (``≥ ≤ > < =``; ``±``: at most so far from 0), or ``≈`` where nobody
            judges.
        goal: in ``unit``.
        unit: printed behind figure and goal.
        digits: decimals.
        most: a goal beside ``≥``: what is more is as bad.
    """

    label: str
    sign: str
    goal: float
    unit: str = ""
    digits: int = 2
    most: float = math.inf


SIGNS: dict[str, Callable[[float, float], bool]] = {
    "≥": operator.ge,
    "≤": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "±": lambda value, goal: abs(value) <= goal,
}


def both(
    key: str, label: str, sign: str = "", grid: float = 0, wild: float | None = None, digits: int = 2
) -> dict[str, Row]:
    """Two lines, of the studio and of the wild."""
    goals = (grid, grid if wild is None else wild)
    labels = (f"{label}, studio", "the same, in the wild")
    parts = zip(("grid", "wild"), labels, goals, strict=True)
    return {f"{key}_{part}": Row(said, sign, goal, "", digits) for part, said, goal in parts}
