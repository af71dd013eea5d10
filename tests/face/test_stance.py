"""The head's stance: still where only the jaw moves, other where the head turns."""

from __future__ import annotations

import numpy as np

from kouxing.face.landmarks import CHIN, NOSE
from kouxing.face.stance import STANCE, stance
from kouxing.units import HALF_PX

ANCHORS = np.random.default_rng(0).uniform(40, 216, (5, 8, 2)).astype(np.float32)


def test_the_chin_does_not_tell() -> None:
    moved = ANCHORS.copy()
    moved[:, CHIN] += 30
    np.testing.assert_array_equal(stance(moved), stance(ANCHORS))
    moved[:, NOSE] += 1
    assert np.abs(stance(moved) - stance(ANCHORS)).max(1).min() > 0.5 / HALF_PX


def test_shapes_and_unit() -> None:
    assert stance(ANCHORS).shape == (5, STANCE) and stance(ANCHORS[0]).shape == (STANCE,)
    np.testing.assert_allclose(stance(np.full((8, 2), 2.0 * HALF_PX, np.float32)), 1)
    np.testing.assert_allclose(stance(np.full((8, 2), float(HALF_PX), np.float32)), 0)
