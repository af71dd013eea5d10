"""Where nobody speaks: an energy detector with hangover, so that silence can rest the mouth."""

from __future__ import annotations

import numpy as np

from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

FLOOR_DB = -50.0
"""Quieter than this (full scale) is silence whatever the rest of the clip does."""
DROP_DB = 30.0
"""So far under the clip's loud speech is silence."""
NOISE_MARGIN_DB = 3.0
SHORT_S = 0.3
"""Shorter pauses are part of speech: stops close the lips by themselves, and mouths stay open between words."""


def frame_levels(samples: Float, rate_hz: int) -> Float:
    """Level of each video frame.

    Args:
        samples: ``[N] float32``, -1..1.
        rate_hz: samples per second.

    Returns:
        ``[ceil(N / rate_hz * FRAME_HZ)] float32`` in dB of full scale, -120 at the least.
    """
    frames = -(-len(samples) * FRAME_HZ // rate_hz)
    bounds = np.arange(frames + 1) * rate_hz // FRAME_HZ
    sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    bounds = np.minimum(bounds, len(samples))
    power = (sums[bounds[1:]] - sums[bounds[:-1]]) / np.maximum(1, np.diff(bounds))
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)), np.float32)


def silent_levels(levels: Float) -> Bool:
    """Which of the frames with these levels (dB) are silent; pauses shorter than ``SHORT_S`` are not."""
    if len(levels) == 0:
        return np.zeros(0, bool)
    quiet = levels < max(FLOOR_DB, silent_limit(levels))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first < SHORT_S * FRAME_HZ:
            quiet[first:last] = False
    return quiet


def silent_limit(levels: Float) -> float:
    """Level in dB under which frames with these levels are silent, ``[N]``, N >= 1."""
    loud = float(np.percentile(levels, 95))
    noise = float(np.percentile(levels, 10))
    # A noisy recording never falls DROP_DB; there, what stays near its noise is silence if speech rises well above it.
    limit = loud - DROP_DB
    return noise + NOISE_MARGIN_DB if noise > limit and loud - noise > 4 * NOISE_MARGIN_DB else limit


def silent_frames(samples: Float, rate_hz: int) -> Bool:
    """Silence per video frame: ``[ceil(seconds * FRAME_HZ)] bool``. ``samples`` as in ``frame_levels``."""
    return silent_levels(frame_levels(samples, rate_hz))
