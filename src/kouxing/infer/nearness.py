"""A speech encoder whose near lips touch (``face.nearness``)."""

from __future__ import annotations

from kouxing.face.nearness import touching
from kouxing.infer.speech import FeatureStream
from kouxing.types import Float


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
