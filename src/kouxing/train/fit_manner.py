"""A person's manner of speaking from their footage: ridge regression, as strong as held-out seconds ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kouxing.face.geometry import GEOMETRY
from kouxing.infer.manner import PAST, SHAPE, corrected, rows
from kouxing.train.fit_footage import Taken
from kouxing.types import Bool, Float

RIDGES = (30.0, 100.0, 300.0)
"""Strengths to choose from. Weaker ones do a little better yet on the person's own voice and harm other voices that
speak through the same file (docs/log.md)."""
LEAST_GAIN = 0.01
"""Share of the held-out error that a correction must take away to be worth having."""


@dataclass(frozen=True)
class Manner:
    """What was learnt.

    Attributes:
        weights: for ``infer.manner``; None where held-out seconds get no better by any.
        gain: share of the error of heard mouths that they take away there.
    """

    weights: Float | None = None
    gain: float = 0.0

    def corrected(self, heard: Float) -> Float:
        """Features ``[T, 16]`` as a dub with this person hears them."""
        return heard if self.weights is None else corrected(heard, self.weights)


def learnt_manner(taken: Sequence[Taken]) -> Manner:
    """The correction that does best on held-out seconds."""
    before = _error(taken, Manner())
    tried = [Manner(_learnt(taken, ridge)) for ridge in RIDGES]
    errors = [_error(taken, one) for one in tried]
    best = int(np.argmin(errors))
    gain = 1 - errors[best] / before if before > 0 else 0.0
    return Manner(tried[best].weights, float(gain)) if gain > LEAST_GAIN else Manner()


def _learnt(taken: Sequence[Taken], ridge: float) -> Float:
    """Residuals of tracked against heard mouths, in speech: silence has its own rule."""
    square, product = ridge * np.eye(SHAPE[0]), np.zeros(SHAPE)
    # The constant carries the person's resting shape and is no slope: it is not held down.
    square[-1, -1] = 1e-3
    for one in taken:
        where = one.trained & ~one.footage.silent
        seen = rows(one.heard, np.repeat(one.heard[:1], PAST, 0))[where].astype(np.float64)
        square += seen.T @ seen
        product += seen.T @ (one.footage.geometry - one.heard[:, :GEOMETRY])[where]
    return np.asarray(np.linalg.solve(square, product), np.float32)


def _error(taken: Sequence[Taken], manner: Manner) -> float:
    """Mean squared difference on held-out spoken frames."""
    total, count = 0.0, 0
    for one in taken:
        where: Bool = one.held & ~one.footage.silent
        total += float(np.square(manner.corrected(one.heard)[:, :GEOMETRY] - one.footage.geometry)[where].sum())
        count += int(where.sum())
    return total / max(count, 1)
