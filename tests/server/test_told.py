"""What a text's speaker told of the mouth reaches the rows it was told for, once."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.arkit import PLACE
from kouxing.face.closure import lip_distance
from kouxing.server.told import Told

JAW, BROW = PLACE["jawOpen"], PLACE["browInnerUp"]


def rows(count: int, value: float) -> np.ndarray:
    made = np.zeros((count, 52), np.float32)
    made[:, [JAW, BROW]] = value
    return made


def test_visemes_stand_in_for_the_sound_where_they_were_told() -> None:
    told = Told()
    assert not told
    told.lay(100, rows(10, 0.2), None)
    made, moved = told.on(rows(10, 0.5), 95)
    assert moved and made[:5, JAW] == pytest.approx(0.5) and made[5:, JAW] == pytest.approx(0.2)
    assert made[:, BROW] == pytest.approx(0.5)
    made, moved = told.on(rows(10, 0.5), 105, mouth=1.5)
    assert moved and made[:5, JAW] == pytest.approx(0.3) and made[5:, JAW] == pytest.approx(0.5) and not told
    same = rows(3, 0.5)
    assert told.on(same, 100) == (same, False)


def test_lips_touch_where_it_was_told() -> None:
    told = Told()
    contact = np.zeros(10, np.float32)
    contact[4:6] = 1
    told.lay(50, None, contact)
    given = rows(20, 0.2)
    made, moved = told.on(given, 45)
    assert not moved and (lip_distance(made)[9:11] <= 1e-6).all() and not told
    others = [*range(9), *range(11, 20)]
    np.testing.assert_array_equal(made[others], given[others])
    np.testing.assert_array_equal(given, rows(20, 0.2))


def test_an_interruption_forgets_it() -> None:
    told = Told()
    told.lay(0, rows(5, 0.1), np.ones(5, np.float32))
    assert told
    told.clear()
    given = rows(5, 0.5)
    assert not told and told.on(given, 0)[0] is given
