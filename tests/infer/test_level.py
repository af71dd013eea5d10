"""``--mouth auto``: quiet and mumbled speech opens the mouth, clear speech stays as it is, noise and silence too."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.audio.silence import frame_levels
from kouxing.face import geometry
from kouxing.infer import level
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME


def talk(seconds: float, widest_px: float, seed: int = 0) -> np.ndarray:
    """Features whose opening swings between 0 and ``widest_px``."""
    frames = int(seconds * FRAME_HZ)
    swing = np.abs(np.sin(np.arange(frames) * 0.7 + seed)) * widest_px
    unit = np.zeros((1, 16), np.float32)
    unit[0, 0] = 1
    per_unit = float(geometry.opening(unit)[0])
    features = np.zeros((frames, 16), np.float32)
    features[:, 0] = swing / per_unit
    np.testing.assert_allclose(geometry.opening(features), swing, atol=1e-3)
    return features


def test_mumbling_opens_as_clear_speech() -> None:
    silent = np.zeros(500, bool)
    for widest, low, high in ((4.0, 1.75, 1.8), (7.5, 1.3, 1.5), (10.5, 1.0, 1.02), (20.0, 1.0, 1.0)):
        made = level.coefficients(talk(20, widest), silent)
        assert made.shape == (500,) and low <= made.mean() <= high, widest
    made = level.coefficients(talk(20, 7.5), silent)
    wide = np.percentile(geometry.opening(talk(20, 7.5) * made[:, None]), 90)
    assert wide == pytest.approx(level.CLEAR_PX, rel=0.06)


def test_it_follows_the_speech_slowly() -> None:
    features = np.concatenate([talk(15, 11.0), talk(15, 5.0), talk(15, 11.0)])
    made = level.coefficients(features, np.zeros(len(features), bool))
    assert made[: 8 * FRAME_HZ].max() < 1.15 and made[20 * FRAME_HZ : 25 * FRAME_HZ].min() > 1.5
    assert made.min() >= 1 and made.max() <= level.MOST
    # Half a second changes little, one frame hardly anything: nobody sees it turn.
    assert np.abs(made[12:] - made[:-12]).max() < 0.25 and np.abs(np.diff(made)).max() < 0.03
    assert np.abs(np.diff(made, 2)).max() < 0.005


def test_silence_and_little_speech() -> None:
    assert (level.coefficients(np.zeros((40, 16), np.float32), np.ones(40, bool)) == 1).all()
    assert level.coefficients(np.zeros((0, 16), np.float32), np.zeros(0, bool)).shape == (0,)
    features = np.concatenate([talk(20, 10.5), np.zeros((500, 16), np.float32), talk(0.2, 3.0)])
    silent = np.zeros(len(features), bool)
    silent[500:1000] = True
    made = level.coefficients(features, silent)
    # Five frames of small openings are no mumbling yet.
    assert made.max() < 1.25


def speech(loud_db: float, noise_db: float = -90.0, seconds: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    count = int(seconds * SAMPLE_HZ)
    turns = (np.arange(count) // (SAMPLE_HZ // 2)) % 2
    return (rng.normal(0, 10 ** (loud_db / 20), count) * turns + rng.normal(0, 10 ** (noise_db / 20), count)).astype(
        np.float32
    )


def test_quiet_sound_is_raised_and_nothing_else() -> None:
    quiet = speech(-55)
    factor = level.gain(frame_levels(quiet, SAMPLE_HZ))
    raised = np.concatenate(list(level.raised([quiet[:1000], quiet[1000:]], factor)))
    assert np.percentile(frame_levels(raised, SAMPLE_HZ), 95) == pytest.approx(level.LOUD_DB, abs=1)
    assert np.abs(raised).max() <= 1
    for same in (speech(-18), speech(-50, -52), np.zeros(SAMPLE_HZ, np.float32), np.zeros(0, np.float32)):
        assert level.gain(frame_levels(same, SAMPLE_HZ)) == 1
        assert all((a == b).all() for a, b in zip(level.raised([same], 1.0), [same], strict=True))
    assert level.gain(frame_levels(speech(-100, -150), SAMPLE_HZ)) <= 10 ** (level.MOST_RAISED_DB / 20) + 1e-6


def test_levels_do_not_depend_on_the_pieces() -> None:
    sound = speech(-30)[: 37 * SAMPLES_PER_FRAME + 11]
    whole = frame_levels(sound, SAMPLE_HZ)
    for size in (100, SAMPLES_PER_FRAME, 5000):
        pieces = [sound[at : at + size] for at in range(0, len(sound), size)]
        np.testing.assert_allclose(level.measured(pieces), whole, atol=1e-4)
