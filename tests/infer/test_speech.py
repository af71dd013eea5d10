"""Speech features: silence rests the mouth, chunks do not matter, lengths are exact."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infer.fake_parts import Loudness
from kouxing.infer.speech import REST_FRAMES, WAKE_FRAMES, calm, hear
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME


def voice(seconds, pause):
    """Noise with a pause ``(from, to)`` in seconds."""
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_HZ)).astype(np.float32)
    samples[round(pause[0] * SAMPLE_HZ) : round(pause[1] * SAMPLE_HZ)] = 0
    return samples


def test_silence_closes_the_mouth_and_speech_is_left_alone():
    words = hear([voice(3, (1, 2))], Loudness())
    assert len(words.features) == 75 and words.seconds == 3
    assert words.silent[25:50].all() and not words.silent[:25].any() and not words.silent[50:].any()
    assert (words.features[25 + REST_FRAMES - 1 : 50 - WAKE_FRAMES + 1] == 0).all()
    assert (words.features[~words.silent] >= 0.1).all()
    fade = words.features[24 : 25 + REST_FRAMES, 0]
    assert (np.diff(fade) < 0).all()


def test_the_mouth_rests_at_once_and_wakes_ahead_of_the_voice():
    silent = np.array([1] * 6 + [0] * 2 + [1] * 7 + [0], bool)
    gains = calm(np.ones((16, 1), np.float32), silent)[:, 0]
    np.testing.assert_allclose(gains, [0] * 5 + [1 / 2, 1, 1] + [0] * 6 + [1 / 2, 1], atol=1e-6)
    # Nothing to wake for at the end.
    assert (calm(np.ones((9, 1), np.float32), np.array([0] * 2 + [1] * 7, bool))[2:] == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=8), st.integers(1, 60_000))
def test_chunks_do_not_matter(sizes, total):
    samples = voice(total / SAMPLE_HZ, (0.5, 1.2))
    bounds = np.minimum(np.cumsum([0, *sizes, total]), total)
    chunks = [samples[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    whole, parts = hear([samples], Loudness()), hear(chunks, Loudness())
    np.testing.assert_array_equal(whole.features, parts.features)
    np.testing.assert_array_equal(whole.silent, parts.silent)
    assert parts.seconds == Fraction(total, SAMPLE_HZ)
    assert len(parts.features) == len(parts.silent) == -(-total // SAMPLES_PER_FRAME)


def test_no_sound_gives_no_features():
    words = hear([], Loudness())
    assert words.seconds == 0 and words.features.shape[0] == 0


def test_all_or_nothing_silent():
    features = np.ones((5, 16), np.float32)
    assert (calm(features, np.ones(5, bool)) == 0).all()
    assert (calm(features, np.zeros(5, bool)) == 1).all()


def test_progress_is_told_in_samples():
    told = []
    hear([np.zeros(SAMPLE_HZ * 9, np.float32)], Loudness(), told.append)
    assert told[-1] == SAMPLE_HZ * 9 and told == sorted(told)


def test_loudness_double_is_itself_chunk_proof():
    samples = voice(1.03, (0.2, 0.3))
    one, two = Loudness(), Loudness()
    whole = np.concatenate([one.push(samples), one.finish()])
    parts = np.concatenate([two.push(samples[:999]), two.push(samples[999:]), two.finish()])
    assert whole == pytest.approx(parts)
