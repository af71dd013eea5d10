"""Sound that fades into holes, for a network that knows no cuts."""

from __future__ import annotations

import numpy as np

from kouxing.audio.features import SILENT_MEL
from kouxing.audio.phone_ear import FADE, faded


def test_sound_fades_into_holes_and_nowhere_else() -> None:
    rng = np.random.default_rng(0)
    mel = rng.normal(1, 0.3, (200, 80)).astype(np.float32)
    lost = np.zeros(200, bool)
    lost[:20], lost[60:140], lost[190:] = True, True, True
    mel[lost] = SILENT_MEL
    made = faded(mel, lost)
    assert made.dtype == np.float32 and np.array_equal(made[~lost], mel[~lost])
    # From both sides, as far as it fades; silence in the middle; at the file's ends from one side.
    level = made.mean(1)
    assert (np.diff(level[60 : 60 + FADE]) < 0).all() and (np.diff(level[140 - FADE : 140]) > 0).all()
    np.testing.assert_allclose(made[60 + FADE : 140 - FADE], SILENT_MEL, atol=1e-5)
    np.testing.assert_allclose(made[: 20 - FADE], SILENT_MEL, atol=1e-5)
    assert (np.diff(level[20 - FADE : 20]) > 0).all() and (np.diff(level[190:]) < 0).all()
    np.testing.assert_allclose(made[60], mel[59] * (1 - 0.5 / FADE) + SILENT_MEL * 0.5 / FADE, rtol=1e-4)
    assert np.array_equal(faded(mel, np.zeros(200, bool)), mel)
    everything = np.ones(200, bool)
    assert np.array_equal(faded(mel, everything), mel)
