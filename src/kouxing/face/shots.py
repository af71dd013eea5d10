"""Where a new shot starts: both the layout of light and dark and the colours change, far more than just before."""

from __future__ import annotations

import numpy as np

from kouxing.face.picture import Picture
from kouxing.types import Float

WIDTH, HEIGHT = 48, 27
CHANGE = 0.05
"""Mean change of brightness plus twice that of colour, 0..1; talking people stay below it, 99.8 % of the time."""

UNLIKE = 0.22
"""One minus the correlation of brightness; between shots 0.26 or more in 99 % of pairs, inside them 0.04 or less."""

RECOLOURED = 0.18
"""Share of the picture whose brightness and colour changed class."""

SURGE = 3.0
"""A cut changes so many times more than the frames before it: a shaken camera is none."""


def _classes(view: Float) -> Float:
    """Histogram of 16 brightness classes and 8x8 colour classes, summing to 2."""
    light = np.minimum(view[..., 0] * 16, 15).astype(np.int64).ravel()
    colour = np.clip((view[..., 1:] - 0.5) * 24 + 4, 0, 7).astype(np.int64)
    both = (colour[..., 0] * 8 + colour[..., 1]).ravel()
    counts = np.concatenate([np.bincount(light, minlength=16), np.bincount(both, minlength=64)])
    return (counts / light.size).astype(np.float32)


class Shots:
    """Finds cuts in a stream of pictures; keeps one tiny picture."""

    def __init__(self) -> None:
        self._view: Float | None = None
        self._classes: Float | None = None
        self._usual = 0.0
        self.change = 0.0
        """How much the last picture differed from the one before it, in units of ``CHANGE``."""

    def push(self, picture: Picture) -> bool:
        """Whether ``picture`` starts a new shot. The very first one does not count as a cut."""
        view = picture.glimpse(WIDTH, HEIGHT)
        classes = _classes(view)
        before, known = self._view, self._classes
        self._view, self._classes = view, classes
        if before is None or known is None:
            return False
        difference = np.abs(view - before).mean((0, 1))
        change = float(difference[0] + difference[1:].sum())
        self.change = change / CHANGE
        cut = False
        if change > max(CHANGE, SURGE * self._usual):
            a, b = view[..., 0] - view[..., 0].mean(), before[..., 0] - before[..., 0].mean()
            unlike = 1 - float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))
            cut = unlike > UNLIKE or float(np.abs(classes - known).sum()) / 4 > RECOLOURED
        self._usual = 0.0 if cut else 0.8 * self._usual + 0.2 * change
        return cut
