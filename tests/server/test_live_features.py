"""What is heard live moves the mouth as what is heard from a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from kouxing.audio.encoder import SpeechEncoder
from kouxing.infer.nearness import Touching
from kouxing.infer.speech import hear
from kouxing.infer.timeline import feature_window
from kouxing.media.reader import load_sound
from kouxing.server import live_features
from kouxing.server.live_features import LiveFeatures
from kouxing.units import FRAME_HZ, SAMPLES_PER_FRAME

VOICE = Path(__file__).parents[2] / "src/kouxing/assets/demo-voice.flac"


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return SpeechEncoder(threads=1)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    samples = load_sound(VOICE).samples
    return np.asarray(samples[: len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME], np.float32)


def blocks(samples: np.ndarray) -> np.ndarray:
    return samples.reshape(-1, SAMPLES_PER_FRAME)


def windows(heard: LiveFeatures, samples: np.ndarray, first: int = 0) -> np.ndarray:
    """All windows that these blocks complete; the first block is block ``first``."""
    made = []
    for number, block in enumerate(blocks(samples), first):
        heard.hear(block)
        if number >= heard.ahead:
            made.append(heard.window(number - heard.ahead))
    return np.stack(made)


def test_speech_gives_the_features_of_the_whole(encoder: SpeechEncoder, voice: np.ndarray) -> None:
    whole = hear([voice], Touching(encoder.stream()))
    live = windows(LiveFeatures(encoder, 5), voice)
    # Live, a pause is one only when it has lasted: the mouth rests some frames later than in a file.
    said = [at for at in range(15, len(live)) if not whole.silent[at - 15 : at + 10].any()]
    assert len(said) > 25
    for number in said:
        np.testing.assert_allclose(live[number], feature_window(whole.features, Fraction(number, FRAME_HZ)), atol=2e-5)


def test_with_less_delay_the_last_row_stands_for_those_behind_it(encoder: SpeechEncoder, voice: np.ndarray) -> None:
    late, soon = LiveFeatures(encoder, 5), LiveFeatures(encoder, 2)
    assert late.ahead - soon.ahead == 3
    whole, live = windows(late, voice), windows(soon, voice)
    for number in range(70, 100):
        wanted = whole[number].copy()
        wanted[8:] = wanted[7]
        np.testing.assert_allclose(live[number], wanted, atol=2e-5)


def test_silence_is_rest_and_sleep_does_not_show(encoder: SpeechEncoder, voice: np.ndarray) -> None:
    quiet = np.zeros((live_features.ASLEEP + 40) * SAMPLES_PER_FRAME, np.float32)
    part = voice[: 80 * SAMPLES_PER_FRAME]
    heard = LiveFeatures(encoder)
    assert not windows(heard, quiet)[:60].any()
    later = windows(heard, np.concatenate([part, quiet]), len(blocks(quiet)))
    fresh = windows(LiveFeatures(encoder), np.concatenate([quiet[: 40 * SAMPLES_PER_FRAME], part]))
    np.testing.assert_allclose(later[heard.ahead + 35 : heard.ahead + 60], fresh[75:100], atol=1e-3)
    assert not later[heard.ahead + 80 + 12 :].any()


def test_an_interruption_rests_within_a_picture_and_new_speech_follows(
    encoder: SpeechEncoder, voice: np.ndarray
) -> None:
    loud = blocks(voice)[20:]
    heard = LiveFeatures(encoder)
    for block in loud[:60]:
        heard.hear(block)
    number = 60 - heard.ahead - 2
    before = heard.window(number - 1)
    assert before.any()
    heard.cut(number)
    np.testing.assert_array_equal(heard.window(number - 1)[:5], before[:5])
    assert not heard.window(number + 1).any()
    for block in loud[60:110]:
        heard.hear(block)
    assert heard.window(85).any()


def test_memory_stays(encoder: SpeechEncoder) -> None:
    heard = LiveFeatures(encoder)
    for number in range(600):
        heard.hear(np.zeros(SAMPLES_PER_FRAME, np.float32))
        if number >= heard.ahead:
            heard.window(number - heard.ahead)
    assert len(heard._rows) < 100 and len(heard._silent) < 100 and len(heard._levels) < 300
    with pytest.raises(ValueError, match="asked for"):
        heard.window(600)
    with pytest.raises(ValueError, match="asked for"):
        heard.window(3)
    with pytest.raises(ValueError, match="block"):
        heard.hear(np.zeros(10, np.float32))
