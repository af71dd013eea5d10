"""Emotions put on a speaking face: it changes, its lips still do what the words want."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.arkit import EMOTIONS, PLACE
from kouxing.face.closure import lip_distance
from kouxing.face.emotions import LIVELINESS, offsets, with_emotion


def speech() -> np.ndarray:
    values = np.zeros((80, 52), np.float32)
    values[:, PLACE["jawOpen"]] = 0.3 * np.clip(np.sin(np.arange(80) * 0.4), 0, 1) + 0.02
    values[:, PLACE["mouthClose"]] = np.where(np.sin(np.arange(80) * 0.4) < 0, 0.02, 0)
    return values


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_lips_move_as_before(emotion: str) -> None:
    shares = np.eye(7, dtype=np.float32)[EMOTIONS.index(emotion)]
    before, after = speech(), with_emotion(speech(), shares)
    assert after.min() >= 0 and after.max() <= 1
    old, new = lip_distance(before), lip_distance(after)
    touching = old < 1e-4
    assert touching.sum() > 20 and new[touching].max() < 2e-3
    apart = old > 0.1
    np.testing.assert_allclose(new[apart], old[apart] * LIVELINESS.get(emotion, 1.0), atol=0.02)
    assert np.allclose(before, after, atol=1e-6) == (emotion == "neutral")


def test_emotions_differ_and_mix() -> None:
    table = offsets()
    assert table.shape == (7, 52) and not table[0].any()
    assert len({tuple(row) for row in table}) == 7
    half = np.zeros(7, np.float32)
    half[[0, 1]] = 0.5
    smile = PLACE["mouthSmileLeft"]
    full = with_emotion(speech(), np.eye(7, dtype=np.float32)[1])[0, smile]
    assert with_emotion(speech(), half)[0, smile] == pytest.approx(full / 2, rel=1e-4)
