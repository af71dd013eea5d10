"""How well sound can be heard: over its floor, in noise, and where it is gone."""

from __future__ import annotations

import numpy as np

from kouxing.audio import clearness as module
from kouxing.audio.clearness import WIDTH, clearness
from kouxing.audio.features import SILENT_MEL
from kouxing.types import Float


def heard(frames: int, sure: float) -> Float:
    probs = np.full((4 * frames, 16), (1 - sure) / 15)
    probs[:, 3] = sure
    return np.log(probs).astype(np.float32)


def speech(frames: int, floor: float) -> Float:
    """Syllables of 8 frames with pauses of 4 over a steady floor."""
    loud = np.tile(np.repeat([1.0, -9.0], [32, 16]), frames // 12 + 1)[: 4 * frames]
    return np.maximum(loud[:, None], floor).repeat(80, 1).astype(np.float32)


def test_noise_brings_speech_near_its_floor() -> None:
    quiet, noisy = (clearness(speech(100, floor), heard(100, 0.9)) for floor in (-1.5, 0.5))
    assert quiet.shape == (100, WIDTH) and quiet.dtype == np.float32
    spoken = speech(100, -1.5).reshape(100, 4, 80).mean((1, 2)) > 0.9
    assert np.allclose(quiet[spoken, :4], 2.5, atol=0.01) and np.allclose(noisy[spoken, :4], 0.5, atol=0.01)


def test_sureness_is_the_entropy_that_is_missing() -> None:
    mel = speech(10, -1.5)
    assert np.allclose(clearness(mel, heard(10, 1 / 16))[:, 4], 0, atol=1e-4)
    assert (clearness(mel, heard(10, 0.999999))[:, 4] > 0.99).all()


def test_a_hole_is_no_floor_and_is_told() -> None:
    mel = speech(100, -1.0)
    mel[160:240] = SILENT_MEL
    told = clearness(mel, heard(100, 0.9))
    assert (told[40:60, 5] == 1).all() and told[:40, 5].max() == 0
    assert told[:40, :4].max() <= 2.01
    gone = clearness(np.full((8, 80), SILENT_MEL, np.float32), heard(2, 0.5))
    assert (gone[:, :4] == 0).all() and (gone[:, 5] == 1).all()


def test_long_sounds_in_parts_are_told_as_the_whole(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    mel = speech(300, -1.0) + np.random.default_rng(0).normal(0, 0.1, (1200, 80)).astype(np.float32)
    whole = clearness(mel, heard(300, 0.9))
    monkeypatch.setattr(module, "AT_ONCE", 70)
    assert np.array_equal(whole, clearness(mel, heard(300, 0.9)))
    assert clearness(mel[:0], heard(0, 0.9)).shape == (0, WIDTH)
