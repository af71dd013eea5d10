"""Silence: found by energy in quiet and noisy recordings, not inside speech."""

from __future__ import annotations

import numpy as np

from kouxing.audio.silence import frame_levels, silent_frames
from kouxing.units import FRAME_HZ, SAMPLE_HZ


def bursts(noise: float) -> np.ndarray:
    """1 s speech-like noise, 1 s pause, 1 s speech-like noise over a background."""
    rng = np.random.default_rng(0)
    sound = rng.normal(0, noise, 3 * SAMPLE_HZ)
    for first in (0, 2 * SAMPLE_HZ):
        sound[first : first + SAMPLE_HZ] += rng.normal(0, 0.1, SAMPLE_HZ)
    return sound.astype(np.float32)


def test_a_pause_is_silent_whatever_the_background() -> None:
    for noise in (0.0, 1e-4, 5e-3):
        silent = silent_frames(bursts(noise), SAMPLE_HZ)
        assert len(silent) == 3 * FRAME_HZ
        assert silent[27:48].all(), noise
        assert not silent[2:23].any() and not silent[52:73].any(), noise


def test_short_pauses_belong_to_speech() -> None:
    sound = bursts(0.0)
    sound[SAMPLE_HZ : 2 * SAMPLE_HZ] = sound[:SAMPLE_HZ]
    sound[SAMPLE_HZ // 2 : SAMPLE_HZ // 2 + SAMPLE_HZ // 5] = 0
    assert not silent_frames(sound, SAMPLE_HZ).any()


def test_digital_silence_and_nothing() -> None:
    assert silent_frames(np.zeros(SAMPLE_HZ, np.float32), SAMPLE_HZ).all()
    assert silent_frames(np.zeros(0, np.float32), SAMPLE_HZ).shape == (0,)


def test_steady_speech_is_not_silent() -> None:
    steady = np.random.default_rng(1).normal(0, 0.05, SAMPLE_HZ).astype(np.float32)
    assert not silent_frames(steady, SAMPLE_HZ).any()


def test_levels_are_in_decibels_of_full_scale() -> None:
    levels = frame_levels(np.full(48_000, 0.1, np.float32), 48_000)
    np.testing.assert_allclose(levels, -20, atol=1e-3)
