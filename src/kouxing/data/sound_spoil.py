"""Sound made hard to hear: another microphone and level, over hiss, steady noise, notes or other voices.

For networks behind the front, which hears samples; ``data.sync_augment`` does the like to log-mel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.silence import silent_frames
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

Rng = np.random.Generator

KINDS = {"hiss": 0.4, "coloured": 0.2, "notes": 0.1, "voice": 0.15, "voices": 0.15}
"""How often what lies behind the speech."""
COLOUR_DB, LEVEL_DB = 4.0, (-12.0, 5.0)
"""Spread of a microphone's response, and the range of levels."""
SMOOTH = 101
"""Bins of its spectrum over which a voice is averaged for noise of its colour."""


def spoiled(samples: Float, others: Sequence[Float], rng: Rng, range_db: tuple[float, float], share: float) -> Float:
    """The same speech, hard to hear.

    Args:
        samples: ``[N]`` at ``SAMPLE_HZ``. others: recordings that may lie behind it; at least one.
        rng: source of chance.
        range_db: of the mean power of its spoken frames over the background's.
        share: how often there is a background.

    Returns:
        ``[N] float32`` within -1..1.
    """
    made = _recorded(samples, rng)
    if rng.random() < share:
        behind = background(len(made), others, rng)
        silent = silent_frames(samples, SAMPLE_HZ)
        spoken = np.repeat(~silent, SAMPLES_PER_FRAME)[: len(made)]
        power = (made[: len(spoken)][spoken] if spoken.any() else made).astype(np.float64) ** 2
        gain = np.sqrt(power.mean() / max(float((behind**2).mean()), 1e-12))
        made = made + gain * 10 ** (-rng.uniform(*range_db) / 20) * behind
    return np.clip(made, -1, 1).astype(np.float32)


def background(count: int, others: Sequence[Float], rng: Rng) -> Float:
    """``[count]`` samples of one of ``KINDS``, of any power."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))

    def voice() -> Float:
        # From anywhere in it: recordings tend to begin with silence.
        other = others[rng.integers(len(others))]
        return np.resize(np.roll(other, -int(rng.integers(max(1, len(other))))), count)

    if kind == "hiss":
        # From white to pink and beyond.
        bins = np.maximum(np.arange(count // 2 + 1), 1)
        return _filtered(rng.normal(0, 1, count), bins ** -rng.uniform(0, 1))
    if kind == "coloured":
        spectrum = np.convolve(np.abs(np.fft.rfft(voice())), np.full(SMOOTH, 1 / SMOOTH), "same")
        return _filtered(rng.normal(0, 1, count), spectrum)
    if kind == "notes":
        return _notes(count, rng)
    several = [voice() for _ in range(1 if kind == "voice" else 3)]
    return np.asarray(sum(one / (one.std() + 1e-3) for one in several), np.float32)


def _notes(count: int, rng: Rng) -> Float:
    """One after the other, each with overtones that die away."""
    made, place = np.zeros(count, np.float32), 0
    while place < count:
        length = int(rng.uniform(0.1, 0.6) * SAMPLE_HZ)
        seconds = np.arange(min(length, count - place)) / SAMPLE_HZ
        pitch_hz, fall = rng.uniform(80, 800), rng.uniform(0, 4)
        tones = sum(0.8**n * np.sin(2 * np.pi * n * pitch_hz * seconds) for n in range(1, 9))
        made[place : place + len(seconds)] = tones * np.exp(-fall * seconds)
        place += length
    return made


def _recorded(samples: Float, rng: Rng) -> Float:
    """By another microphone, at another level."""
    bins = len(samples) // 2 + 1
    curve_db = np.interp(np.linspace(0, 5, bins), np.arange(6), rng.normal(0, COLOUR_DB, 6)) + rng.uniform(*LEVEL_DB)
    return _filtered(samples, 10 ** (curve_db / 20))


def _filtered(samples: NDArray[np.floating], response: NDArray[np.floating]) -> Float:
    return np.asarray(np.fft.irfft(np.fft.rfft(samples) * response, len(samples)), np.float32)
