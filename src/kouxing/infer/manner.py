"""How one person moves the mouth to their own voice: what the speech encoder hears, put right by their own footage.

The encoder knows the mean of many speakers. Some hardly part their lips where others open wide, and a voice and its
mouth belong together, so a person's minute tells more about the next one than any stranger's hour: a linear correction
of the heard features by themselves and the frames before them. It waits for nothing, and it is small enough to lie in a
person file.
"""

from __future__ import annotations

import numpy as np

from kouxing.face.geometry import GEOMETRY
from kouxing.infer.speech import FeatureStream
from kouxing.types import Float

PAST = 4
"""Frames before the present one that are looked at (160 ms)."""
SHAPE = ((PAST + 1) * GEOMETRY + 1, GEOMETRY)
"""Of the weights: what is seen of the features, and a constant, by what is added to them."""


def rows(features: Float, before: Float) -> Float:
    """What the correction sees: ``[n, 81]`` of the geometry of features ``[n, D]`` and the ``[4, D]`` before them."""
    whole = np.concatenate([before, features])[:, :GEOMETRY]
    seen = [whole[at : at + len(features)] for at in range(PAST + 1)]
    return np.asarray(np.concatenate([*seen, np.ones((len(features), 1), np.float32)], 1), np.float32)


def corrected(features: Float, weights: Float) -> Float:
    """Features ``[T, D]`` of a whole speech as the person shows them; ``weights`` are ``SHAPE``."""
    if not len(features):
        return features
    return _added(features, rows(features, np.repeat(features[:1], PAST, 0)) @ weights)


def _added(features: Float, change: Float) -> Float:
    made = np.array(features, np.float32)
    made[:, :GEOMETRY] += change
    return made


class Manner:
    """A speech encoder whose features are those of one person.

    Args:
        stream: the encoder.
        weights: ``SHAPE`` (``train.fit_manner``).
    """

    def __init__(self, stream: FeatureStream, weights: Float) -> None:
        self._stream, self._weights = stream, weights
        self._before: Float | None = None

    def push(self, samples: Float) -> Float:
        """``[N]`` samples -> the ``[n, D]`` features that they complete."""
        return self._moved(self._stream.push(samples))

    def finish(self) -> Float:
        """The features still owed, ``[n, D]``."""
        return self._moved(self._stream.finish())

    def _moved(self, features: Float) -> Float:
        if not len(features):
            return features
        before = np.repeat(features[:1], PAST, 0) if self._before is None else self._before
        self._before = np.concatenate([before, features])[-PAST:]
        return _added(features, rows(features, before) @ self._weights)
