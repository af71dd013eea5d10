"""A second opinion on sync: do the lips that are tracked move as the speech encoder hears them?

It looks at lips as they are tracked, not at pictures of them, and hears with another network (of the same origin as
the discriminator's ear), so where both mean the same offset they are seldom wrong together. What is compared are the
mouth's opening and width and how they change, each by its own mean and spread over the rows at hand: how far somebody
opens the mouth does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kouxing.face import geometry
from kouxing.face.offset import APART, similarities
from kouxing.types import Float

SHAPES = 2
"""Numbers of a mouth that are kept: opening and width."""

LEAST = 10
"""Rows of lips that have to be known."""

WEIGHTS = (
    (0.110, 0.054, 0.040),
    (0.024, 0.004, -0.005),
    (0.183, 0.028, 0.031),
    (0.073, 0.005, 0.012),
)
"""Of opening, width and the changes of both: of the product of what is seen and heard, and what the squares of the
heard and of the seen take off; in units of the discriminator's cosine, from ``recipes/sync_sure.py``."""


class Listening(Protocol):
    """One sound being heard (``audio.encoder.SpeechStream``)."""

    def push(self, samples: Float) -> Float:
        """``[N]`` samples -> ``[n, 16]`` mouth geometry that they complete."""
        ...

    def finish(self) -> Float:
        """What is still owed."""
        ...


class Ear(Protocol):
    """What ``audio.encoder.SpeechEncoder`` offers here."""

    def stream(self) -> Listening:
        """A sound at its beginning."""
        ...


@dataclass(frozen=True)
class Shapes:
    """A mouth as it is seen and as it is heard.

    Attributes:
        seen: ``[T, 2] float32`` of ``shapes``, NaN where the face is not seen.
        heard: ``[T', 2] float32``, from the same moment on.
    """

    seen: Float
    heard: Float

    def part(self, first: int, last: int) -> Shapes:
        """Rows ``first..last - 1`` of both."""
        return Shapes(self.seen[first:last], self.heard[first:last])


def shapes(features: Float) -> Float:
    """Opening and width of mouth geometry ``[T, 16]``: ``[T, 2] float32``, crop pixels more than at rest."""
    moved = geometry.displacement(features)
    wide = moved[:, geometry.CORNER_LEFT, 0] - moved[:, geometry.CORNER_RIGHT, 0]
    return np.stack([features @ geometry.opening_weights(), wide], 1).astype(np.float32)


def seen_rows(seen: Float) -> Float:
    """``[T, 2]`` of ``shapes`` -> ``[T, 6]``, whose products with ``heard_rows`` are opinions on pairs of moments."""
    told, weights = signals(seen), np.array(WEIGHTS, np.float32)
    return np.column_stack([told * weights[:, 0], -(told**2) @ weights[:, 2], np.ones(len(told), np.float32)])


def heard_rows(heard: Float) -> Float:
    """``[T, 2]`` of ``shapes`` -> ``[T, 6]``."""
    told, weights = signals(heard), np.array(WEIGHTS, np.float32)
    return np.column_stack([told, np.ones(len(told), np.float32), -(told**2) @ weights[:, 1]])


def opinion(told: Shapes) -> Float | None:
    """What lips and sound of a clip, or of a part of it, say of each lag: ``[31]``, larger is likelier.

    Returns:
        None where lips or sound are not known for long enough.
    """
    if min(np.isfinite(told.seen).all(1).sum(), np.isfinite(told.heard).all(1).sum()) < LEAST:
        return None
    pairs = similarities(seen_rows(told.seen), heard_rows(told.heard))
    known = np.isfinite(pairs)
    if known.sum(0).min() < LEAST:
        return None
    return np.asarray(np.where(known, pairs, 0.0).sum(0) / known.sum(0), np.float32)


def standing(told: Float, best: int) -> float:
    """By how many spreads of all other lags ``told [31]`` is higher around ``best`` than they are."""
    others = told[np.abs(np.arange(len(told)) - best) >= APART]
    top = float(told[max(best - 1, 0) : best + 2].max())
    return (top - float(others.mean())) / max(float(others.std()), 1e-6)


def signals(told: Float) -> Float:
    """``[T, 2]`` -> ``[T, 4]``: the numbers and their changes, each with mean 0 and spread 1 over what is known."""
    if len(told) < 2:
        return np.full((len(told), 2 * SHAPES), np.nan, np.float32)
    both = np.concatenate([told, np.gradient(told, axis=0)], 1)
    known = both[np.isfinite(both).all(1)]
    if not len(known):
        return np.full_like(both, np.nan)
    return np.asarray((both - known.mean(0)) / np.maximum(known.std(0), 1e-6), np.float32)
