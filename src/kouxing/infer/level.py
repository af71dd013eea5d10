"""``--mouth auto``: quiet or mumbled speech still opens the mouth.

Two things are evened out. Quiet sound is raised to the loudness of ordinary speech before it is heard, or silence would
be all that is found in it. And where the speech's own predicted openings stay small, the mouth-opening coefficient
rises until the wide ones reach those of clear speech; it changes slowly, over seconds, and never goes under 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from kouxing.audio.silence import frame_levels
from kouxing.face import geometry
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

AUTO = "auto"

LOUD_DB = -20.0
"""Loud parts of ordinary recordings: to this level quiet ones are raised."""
MOST_RAISED_DB = 50.0
SPREAD_DB = 12.0
"""Speech rises at least so far above its background; a sound that does not is noise, and stays as it is."""

CLEAR_PX = 10.3
"""Opening in crop pixels that clear speech reaches in a tenth of its spoken frames: median over training clips of many
people (docs/log.md)."""
WIDE_RANK = 90
MOST = 1.8
"""Largest coefficient: wider ones are not made by any speech, and pictures suffer."""
SPAN_S, KNOT_S = 3.0, 1.0
"""Spread of the window that tells how wide the speech opens around a moment, and the step between two such looks."""
ENOUGH_S = 2.0
"""So much speech in a window weighs as much as the whole speech does."""


def gain(levels: Float) -> float:
    """By how much to multiply the sound.

    Args:
        levels: ``[L]`` of its frames in dB (``audio.silence.frame_levels``).

    Returns:
        1 and more; 1 where it is loud enough, or holds no speech above its noise.
    """
    if len(levels) == 0:
        return 1.0
    loud, noise = np.percentile(levels, (95, 10))
    if loud - noise < SPREAD_DB:
        return 1.0
    return float(10 ** (np.clip(LOUD_DB - loud, 0, MOST_RAISED_DB) / 20))


def measured(chunks: Iterable[Float]) -> Float:
    """Levels of the frames of a sound that comes in pieces of any length, ``[L]`` dB."""
    levels: list[Float] = []
    held = np.zeros(0, np.float32)
    for chunk in chunks:
        held = np.concatenate([held, np.asarray(chunk, np.float32)])
        whole = len(held) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        levels.append(frame_levels(held[:whole], SAMPLE_HZ))
        held = held[whole:]
    return np.concatenate([*levels, frame_levels(held, SAMPLE_HZ)])


def raised(chunks: Iterable[Float], factor: float) -> Iterator[Float]:
    """The sound, louder; what goes beyond full scale is bent, not cut off hard."""
    for chunk in chunks:
        sound = np.asarray(chunk, np.float32) * np.float32(factor)
        yield sound if factor == 1 else np.asarray(np.tanh(sound), np.float32)


def coefficients(features: Float, silent: Bool) -> Float:
    """The mouth-opening coefficient of each frame.

    Args:
        features: ``[L, 16]`` as heard, silence at rest.
        silent: ``[L]``.

    Returns:
        ``[L] float32``, 1..``MOST``, smooth; 1 throughout where nobody speaks.
    """
    frames = len(features)
    spoken = np.flatnonzero(~silent[:frames])
    if len(spoken) == 0:
        return np.ones(frames, np.float32)
    opened = geometry.opening(features[spoken])
    overall = float(np.percentile(opened, WIDE_RANK))
    knots = np.arange(0, frames + KNOT_S * FRAME_HZ, KNOT_S * FRAME_HZ)
    wide = np.array([_wide(knot, spoken, opened, overall) for knot in knots])
    # Ranks jump where the mean of a window would glide: neighbours are mixed.
    for _ in range(2):
        padded = np.pad(wide, 1, mode="edge")
        wide = (padded[:-2] + 2 * wide + padded[2:]) / 4
    wanted = np.clip(CLEAR_PX / np.maximum(wide, 1e-3), 1, MOST)
    # Between two looks a cubic of no overshoot: level at both, so that no corner is left.
    place = np.arange(frames) / (KNOT_S * FRAME_HZ)
    before = place.astype(int)
    share = place - before
    ease = share * share * (3 - 2 * share)
    return np.asarray((1 - ease) * wanted[before] + ease * wanted[before + 1], np.float32)


def _wide(knot: float, spoken: np.ndarray, opened: Float, overall: float) -> float:
    """How wide the speech around frame ``knot`` opens the mouth; where little is said, as wide as the whole."""
    reach = 3 * SPAN_S * FRAME_HZ
    first, last = np.searchsorted(spoken, (knot - reach, knot + reach))
    if first == last:
        return overall
    weight = np.exp(-0.5 * ((spoken[first:last] - knot) / (SPAN_S * FRAME_HZ)) ** 2)
    order = np.argsort(opened[first:last])
    total = np.cumsum(weight[order])
    here = opened[first:last][order][np.searchsorted(total, WIDE_RANK / 100 * total[-1])]
    share = total[-1] / (total[-1] + ENOUGH_S * FRAME_HZ)
    return float(share * here + (1 - share) * overall)
