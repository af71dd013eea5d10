"""Pauses told by loudness, in clear sound and in noise."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.text.loudness import AROUND, LOUD, MOST, against_pause
from kouxing.text.phones import MOUTHS, REST
from kouxing.types import Float

SPOKEN = slice(100, 200)


def unsure(pause: float = 0.5) -> Float:
    """``[300, classes]``: little is heard, a pause somewhat likelier outside of ``SPOKEN``."""
    probs = np.full((300, len(MOUTHS)), (1 - pause) / (len(MOUTHS) - 1))
    probs[:, REST] = pause
    probs[SPOKEN, REST] = 0.3
    probs[SPOKEN, 1:] = 0.7 / (len(MOUTHS) - 1)
    return np.log(probs).astype(np.float32)


def loudness(rise: float, noise: float, seed: int = 0) -> Float:
    loud = np.random.default_rng(seed).normal(0, noise, 300)
    loud[SPOKEN] += rise
    return loud.astype(np.float32)


def test_in_noise_the_mean_of_many_frames_tells_speech_from_pauses() -> None:
    told = against_pause(unsure(), loudness(0.12, 0.08), np.zeros(300, bool))
    assert told.dtype == np.float32 and np.abs(told).max() <= MOST
    assert (told[115:185] > 0).all() and (told[:80] < 0).mean() > 0.7 and (told[220:] < 0).mean() > 0.7


def test_noise_alone_tells_nothing() -> None:
    for seed in range(5):
        told = against_pause(unsure(), loudness(0.0, 0.08, seed), np.zeros(300, bool))
        assert np.abs(told).max() < 0.1


def test_lost_sound_is_left_out() -> None:
    lost = np.zeros(300, bool)
    lost[140:170] = True
    loud, gone = loudness(0.12, 0.08), loudness(0.12, 0.08)
    gone[lost] = -2.0
    told, whole = against_pause(unsure(), gone, lost), against_pause(unsure(), loud, np.zeros(300, bool))
    assert (told[lost] == 0).all() and (told[115:140] > 0).all() and (told[170:185] > 0).all()
    np.testing.assert_allclose(told[: 140 - AROUND], whole[: 140 - AROUND], atol=0.8)
    assert (against_pause(unsure(), loud, np.ones(300, bool)) == 0).all()


@pytest.mark.parametrize("rise", [0.9, 1.8])
def test_in_clear_sound_every_loud_frame_speaks_against_a_pause(rise: float) -> None:
    told = against_pause(unsure(0.99), loudness(rise, 0.01), np.zeros(300, bool))
    assert told[SPOKEN].min() > 0.4 * LOUD and told[:100].max() == told[200:].max() == 0
