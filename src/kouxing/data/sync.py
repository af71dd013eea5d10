"""Which clips are in step with their sound: found by what a model hears that never saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kouxing.types import Bool, Float

FARTHEST = 4
"""Frames, both ways, within which a clip's mouth is looked for."""
BETTER, BEST = 0.10, 0.35
"""A clip is moved where that raises its correlation by the first, to at least the second."""
FOREIGN = 0.15
"""Clips that correlate less at every lag are left out: another's voice, another's face, or no speech."""
FEWEST = 40
"""Frames: shorter clips tell no lag."""


@dataclass(frozen=True)
class Step:
    """A clip's timing.

    Attributes:
        late: frames by which the mouth is late (negative: early); what to move it by.
        as_is: correlation of heard and seen opening as the clip is.
        best: the same, moved by ``late``.
        kept: False where the clip does not follow its sound at any lag.
    """

    late: int
    as_is: float
    best: float
    kept: bool


def find_step(heard: Float, seen: Float, found: Bool) -> Step:
    """Compare openings ``[T]``, heard in the sound and seen in the picture.

    Args:
        heard: from the sound.
        seen: tracked.
        found: ``[T]``, frames that count.
    """
    if found.sum() < FEWEST:
        return Step(0, 0.0, 0.0, True)
    lags = range(-FARTHEST, FARTHEST + 1)
    told = {lag: _correlation(heard, seen, found, lag) for lag in lags}
    lag = max(lags, key=lambda one: (told[one], -abs(one)))
    moved = told[lag] - told[0] >= BETTER and told[lag] >= BEST
    return Step(lag if moved else 0, told[0], told[lag] if moved else told[0], told[lag] >= FOREIGN)


def _correlation(heard: Float, seen: Float, found: Bool, lag: int) -> float:
    """Of ``heard[t]`` with ``seen[t + lag]``."""
    count = len(heard)
    here, there = slice(max(0, -lag), count - max(0, lag)), slice(max(0, lag), count + min(0, lag))
    both = found[there]
    a, b = heard[here][both], seen[there][both]
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
