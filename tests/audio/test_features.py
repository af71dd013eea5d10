"""Log-mel: whole equals chunks, frames lie where they should, levels are logarithmic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.audio.features import LOG_SCALE, SILENT_MEL, MelStream, frame_mels, log_mel, speech_window
from kouxing.units import HOP, MEL_BANDS, MELS_PER_FRAME, SAMPLE_HZ


def tone(hz: float, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * SAMPLE_HZ)) / SAMPLE_HZ)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5000), st.lists(st.integers(0, 1500), max_size=8))
def test_chunks_equal_the_whole(count: int, cuts: list[int]) -> None:
    sound = np.random.default_rng(count).normal(0, 0.1, count).astype(np.float32)
    stream, parts, at = MelStream(), [], 0
    for cut in cuts:
        parts.append(stream.push(sound[at : at + cut]))
        at += cut
    parts += [stream.push(sound[at:]), stream.finish()]
    whole = log_mel(sound)
    assert whole.shape == (-(-count // HOP), MEL_BANDS)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(SAMPLE_HZ, np.float32)), SILENT_MEL, atol=1e-6)


def test_a_higher_tone_lies_in_a_higher_band() -> None:
    bands = [int(log_mel(tone(hz)).mean(0).argmax()) for hz in (200, 800, 3000)]
    assert bands == sorted(bands) and len(set(bands)) == 3


def test_twice_the_amplitude_adds_a_constant() -> None:
    band = int(log_mel(tone(800)).mean(0).argmax())
    rise = (log_mel(2 * tone(800)) - log_mel(tone(800)))[5:-5, band]
    np.testing.assert_allclose(rise, np.log(4) / LOG_SCALE, atol=1e-3)


def test_a_click_lies_in_its_own_frame() -> None:
    sound = np.zeros(SAMPLE_HZ, np.float32)
    sound[37 * HOP + HOP // 2] = 1.0
    assert int(log_mel(sound).sum(1).argmax()) == 37


def test_frames_and_windows_pad_with_silence() -> None:
    mel = log_mel(tone(500, 0.2))
    assert frame_mels(mel, 3).shape == (3 * MELS_PER_FRAME, MEL_BANDS)
    longer = frame_mels(mel, 10)
    np.testing.assert_array_equal(longer[len(mel) :], SILENT_MEL)
    window = speech_window(mel, 0, 16)
    np.testing.assert_array_equal(window[:6], SILENT_MEL)
    np.testing.assert_array_equal(window[6:], mel[:10])


def test_long_sounds_are_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_HZ + 7).astype(np.float32)
    whole = log_mel(samples)
    monkeypatch.setattr("kouxing.audio.features.AT_ONCE", 70)
    np.testing.assert_allclose(log_mel(samples), whole, atol=1e-5)
