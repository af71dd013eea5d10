"""Heard lips that come near each other touch: an encoder that follows the mean never quite closes a mouth."""

from __future__ import annotations

import numpy as np

from kouxing.face import geometry
from kouxing.face.closure import drawn_together
from kouxing.infer.speech import FeatureStream
from kouxing.types import Float

TYPICAL_PX = 14.2
"""Opening of speech's wide mouths in crop pixels (``face.closure.TYPICAL_GAP`` of a face 171 px wide): it stays."""
NEAR_PX = 3.8
"""Heard openings under this become closed lips; chosen on held-out training speakers for avatars (docs/log.md)."""


def touching(features: Float) -> Float:
    """Features ``[..., 16]`` with openings stretched away from the typical one until near ones are closed."""
    opened = geometry.opening(features)
    wanted = drawn_together(opened, NEAR_PX, TYPICAL_PX)
    return np.asarray(features + (wanted - opened)[..., None] * geometry.opening_direction(), np.float32)


class Touching:
    """A speech encoder whose near lips touch.

    Args:
        stream: the encoder.
    """

    def __init__(self, stream: FeatureStream) -> None:
        self._stream = stream

    def push(self, samples: Float) -> Float:
        """``[N]`` samples -> the ``[n, 16]`` features that they complete."""
        return touching(self._stream.push(samples))

    def finish(self) -> Float:
        """The features still owed, ``[n, 16]``."""
        return touching(self._stream.finish())
