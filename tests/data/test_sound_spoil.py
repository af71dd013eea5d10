"""Sound that is hard to hear, as training makes it."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.audio.silence import silent_frames
from kouxing.data import sound_spoil
from kouxing.data.sound_spoil import KINDS, background, spoiled
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Syllables of 200 Hz."""
    steps = np.arange(int(seconds * SAMPLE_HZ)) / SAMPLE_HZ
    rng = np.random.default_rng(seed)
    made = np.sin(2 * np.pi * 200 * steps) * (np.sin(2 * np.pi * 2 * steps) > 0) + 0.01 * rng.normal(size=len(steps))
    return (0.3 * made).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_background_lasts_as_long_as_the_speech(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_spoil, "KINDS", {kind: 1.0})
    for count in (1, 999, 24001):
        made = background(count, [voice(0.5), voice(2.0)], np.random.default_rng(0))
        assert made.shape == (count,) and made.dtype == np.float32 and np.isfinite(made).all()
    assert made.std() > 0


def test_the_background_is_as_loud_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_spoil, "COLOUR_DB", 0.0)
    monkeypatch.setattr(sound_spoil, "LEVEL_DB", (-20.0, -20.0))
    speech, other = voice(3), [voice(2, 1)]
    alone = spoiled(speech, other, np.random.default_rng(0), (0.0, 0.0), 0.0)
    np.testing.assert_allclose(alone, 0.1 * speech, atol=1e-4)
    spoken = np.repeat(~silent_frames(speech, SAMPLE_HZ), SAMPLES_PER_FRAME)
    for level in (20.0, 0.0):
        rng = np.random.default_rng(3)
        behind = spoiled(speech, other, rng, (level, level), 1.0) - alone
        told = 10 * np.log10((alone[spoken] ** 2).mean() / (behind**2).mean())
        assert abs(told - level) < 0.2


def test_samples_stay_within_range_and_silence_does_not_break_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        made = spoiled(voice(1), [voice(1, 2)], rng, (-20.0, -10.0), 1.0)
        assert np.abs(made).max() <= 1 and made.dtype == np.float32
    assert np.isfinite(spoiled(np.zeros(SAMPLE_HZ, np.float32), [np.zeros(10, np.float32)], rng, (0.0, 0.0), 1.0)).all()


def test_voices_behind_begin_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_spoil, "KINDS", {"voice": 1.0})
    rng, ramp = np.random.default_rng(0), np.arange(1000, dtype=np.float32)
    places = [background(500, [ramp], rng).argmin() for _ in range(10)]
    assert len(set(places)) > 3
