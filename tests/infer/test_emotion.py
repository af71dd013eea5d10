"""Emotions as users write them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kouxing.arkit import EMOTIONS
from kouxing.errors import OptionError
from kouxing.infer.emotion import FADE_S, Mood, emotion_at, read_mood

NEUTRAL, HAPPY, SAD = (EMOTIONS.index(name) for name in ("neutral", "happy", "sad"))


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("happy", Mood("happy")),
        ("Sad:.4", Mood("sad", 0.4)),
        ("happy:0.6@2s..5s", Mood("happy", 0.6, 2.0, 5.0)),
        ("angry@1.5..", Mood("angry", 1.0, 1.5, math.inf)),
    ],
)
def test_readings(text: str, mood: Mood) -> None:
    assert read_mood(text) == mood


@pytest.mark.parametrize(
    ("text", "words"),
    [("glad", "no such emotion; choose one of neutral, happy"), ("happy:2", "not within 0..1"), ("", "write NAME"),
     ("happy:0.5@5s..2s", "before it starts"), ("happy:-1", "write NAME"), ("happy:nan", "write NAME")],
)  # fmt: skip
def test_mistakes_are_one_line(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        read_mood(text)
    assert "\n" not in str(caught.value) and "--emotion" in str(caught.value)


def test_emotions_come_and_go_and_leave_neutral() -> None:
    times = np.array([0, 2, 2 + FADE_S, 4, 9], np.float32)
    mixed = emotion_at([Mood("happy", 0.6, 2, 5)], times)
    np.testing.assert_allclose(mixed[:, HAPPY], [0, 0.3, 0.6, 0.6, 0], atol=1e-6)
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(mixed[0, NEUTRAL], 1)


def test_too_much_is_scaled_down() -> None:
    mixed = emotion_at([Mood("happy"), Mood("sad")], np.zeros(1, np.float32))
    np.testing.assert_allclose(mixed[0, [NEUTRAL, HAPPY, SAD]], [0, 0.5, 0.5])
