"""A person's own scale: rest is 0, closed lips are closed."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.arkit import PLACE
from kouxing.face.calibration import CLOSE, JAW, JAW_PER_GAP, PARTING, fit

ROWS = 200


def speaker(rest_jaw: float, per_gap: float, level: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Somebody whose lips open and close: values, measured gap, and the true opening."""
    opening = np.clip(0.1 * np.sin(np.arange(ROWS) * 0.3), 0, None)
    values = np.zeros((ROWS, 52), np.float32)
    values[:, JAW] = rest_jaw + per_gap * opening
    values[:, CLOSE] = rest_jaw * 0.9
    values[:, list(PARTING)] = 0.05 + opening[:, None]
    return values, (opening + level).astype(np.float32), opening


@pytest.mark.parametrize(("rest", "per_gap", "level"), [(0.0, 2.5, 0.0), (0.6, 1.6, 0.0), (0.02, 3.5, 0.01)])
def test_people_of_all_builds_become_alike(rest: float, per_gap: float, level: float) -> None:
    values, gap, opening = speaker(rest, per_gap, level)
    made = fit(values, gap).apply(values, gap)
    closed = opening < 0.001
    assert (made[closed, JAW] - made[closed, CLOSE] <= 1e-6).all() and made[closed, JAW].max() < 0.03
    assert not made[closed][:, list(PARTING)].any()
    wide = opening > 0.08
    np.testing.assert_allclose(made[wide, JAW], JAW_PER_GAP * opening[wide], rtol=0.15)
    assert (made[:, CLOSE] <= made[:, JAW] + 1e-6).all() and made.min() >= 0 and made.max() <= 1


def test_a_mouth_that_never_closes_is_not_told_as_closed() -> None:
    values, gap, _ = speaker(0.0, 2.5)
    open_always = gap * 0.5 + 0.05
    assert not fit(values, open_always).closedness(open_always).any()


def test_a_smile_and_the_gaze_keep_their_level() -> None:
    values, gap, _ = speaker(0.0, 2.5)
    for name in ("mouthSmileLeft", "eyeLookUpLeft"):
        values[:, PLACE[name]] = 0.4
    values[:, PLACE["browDownLeft"]] = 0.4
    made = fit(values, gap).apply(values, gap)
    assert np.allclose(made[:, PLACE["mouthSmileLeft"]], 0.4) and np.allclose(made[:, PLACE["eyeLookUpLeft"]], 0.4)
    assert not made[:, PLACE["browDownLeft"]].any()


def test_short_or_silent_recordings_are_left_as_they_are() -> None:
    values, gap, _ = speaker(0.2, 2.5)
    short = fit(values[:20], gap[:20])
    assert not short.offset.any() and short.jaw_gain == 1
    still = fit(np.full((ROWS, 52), 0.1, np.float32), np.full(ROWS, 0.002, np.float32))
    made = still.apply(np.full((3, 52), 0.1, np.float32), np.array([0.002, 0.5, np.nan], np.float32))
    assert np.isfinite(made).all() and still.jaw_gain == 1
    assert still.closedness(np.array([0.002, 0.5, np.nan])).tolist() == [1, 0, 0]
    empty = fit(np.zeros((0, 52), np.float32), np.zeros(0, np.float32))
    assert empty.closed < empty.open
    with pytest.raises(ValueError):
        fit(values, gap[:-1])
