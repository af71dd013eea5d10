"""Speech -> features that move the mouth, in constant memory but for the features themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from kouxing.audio.silence import frame_levels, silent_levels
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

REST_FRAMES, WAKE_FRAMES = 1, 2
"""The mouth comes to rest within so many frames (40 ms) of silence, and leaves it so many (80 ms) before speech: real
mouths open ahead of the voice (docs/log.md)."""

BLOCK = 100 * SAMPLES_PER_FRAME
"""Samples taken at a time (4 s)."""


class FeatureStream(Protocol):
    """Speech encoder in use: 16 kHz samples in, features at 25 fps out, some frames later."""

    def push(self, samples: Float) -> Float:
        """``[N]`` samples -> the ``[n, 16]`` features that they complete."""
        ...

    def finish(self) -> Float:
        """The features still owed, ``[n, 16]``."""
        ...


@dataclass(frozen=True)
class Speech:
    """What the mouth has to do.

    Attributes:
        features: ``[L, 16] float32`` at 25 fps, 0 = closed and relaxed; silence is 0.
        silent: ``[L] bool``.
        seconds: exact length of the speech.
    """

    features: Float
    silent: Bool
    seconds: Fraction


def calm(features: Float, silent: Bool) -> Float:
    """Bring the mouth to rest where nobody speaks.

    Args:
        features: ``[L, D]``.
        silent: ``[L]``.

    Returns:
        ``[L, D] float32``: speech is left as it is; silence fades to 0 over ``REST_FRAMES`` and back over
        ``WAKE_FRAMES``.
    """
    frames = np.arange(len(silent))
    spoken = np.flatnonzero(~silent)
    if len(spoken) == 0:
        return np.zeros_like(features)
    place = np.searchsorted(spoken, frames)
    since = np.where(place > 0, frames - spoken[np.maximum(place, 1) - 1], len(frames) + REST_FRAMES)
    until = np.where(
        place < len(spoken), spoken[np.minimum(place, len(spoken) - 1)] - frames, len(frames) + WAKE_FRAMES
    )
    gain = np.maximum(1 - since / REST_FRAMES, 1 - until / WAKE_FRAMES)
    gain = np.where(silent, np.clip(gain, 0, 1), 1).astype(np.float32)
    return np.asarray(features * gain[:, None], np.float32)


def hear(chunks: Iterable[Float], stream: FeatureStream, heard: Callable[[int], None] | None = None) -> Speech:
    """Listen to the whole speech.

    Args:
        chunks: mono float32 samples at ``SAMPLE_HZ``, of any lengths.
        stream: the speech encoder.
        heard: called with the number of samples so far.

    Returns:
        Features with silence at rest. ``L = ceil(seconds * 25)``.
    """
    features: list[Float] = []
    levels: list[Float] = []
    total = 0
    for block in _blocks(chunks):
        features.append(stream.push(block))
        levels.append(frame_levels(block, SAMPLE_HZ))
        total += len(block)
        if heard is not None:
            heard(total)
    features.append(stream.finish())
    seconds = Fraction(total, SAMPLE_HZ)
    silent = silent_levels(np.concatenate([np.zeros(0, np.float32), *levels]))
    joined = np.concatenate(features)
    frames = -(-total * FRAME_HZ // SAMPLE_HZ)
    # The encoder may owe or add a frame at the end: the levels, counted from the samples, say how many there are.
    joined = joined[:frames]
    if len(joined) < frames:
        joined = np.concatenate([joined, np.zeros((frames - len(joined), joined.shape[1]), np.float32)])
    return Speech(calm(joined, silent), silent, seconds)


def _blocks(chunks: Iterable[Float]) -> Iterable[Float]:
    """The same samples in whole video frames, so that no frame's level is cut in two."""
    held: list[Float] = []
    count = 0
    for chunk in chunks:
        held.append(np.asarray(chunk, np.float32))
        count += len(chunk)
        if count >= BLOCK:
            joined = np.concatenate(held)
            whole = count // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
            yield joined[:whole]
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)
