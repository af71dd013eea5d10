"""Near lips touch, wide ones stay, and a mouth at rest is asked for pressed lips."""

from __future__ import annotations

import numpy as np

from kouxing.face import geometry
from kouxing.face.closure import CLOSED_SHARE
from kouxing.face.nearness import NEAR_PX, TYPICAL_PX, touching
from kouxing.face.pressed import PRESSED_PX, pressed
from kouxing.infer.nearness import Touching

CLOSED_PX = CLOSED_SHARE * TYPICAL_PX


def openings(px: np.ndarray) -> np.ndarray:
    """Features that open the lips by so many crop pixels, and do something else as well."""
    aside = np.random.default_rng(0).normal(0, 1, geometry.GEOMETRY).astype(np.float32)
    aside -= geometry.opening(aside) * geometry.opening_direction()
    return (px[:, None] * geometry.opening_direction() + aside).astype(np.float32)


def test_near_lips_touch_and_wide_ones_stay() -> None:
    px = np.linspace(-3, 30, 500, dtype=np.float32)
    made = geometry.opening(touching(openings(px)))
    assert (made[px <= NEAR_PX] <= CLOSED_PX + 1e-3).all()
    np.testing.assert_allclose(made[px >= TYPICAL_PX], px[px >= TYPICAL_PX], atol=1e-3)
    np.testing.assert_allclose(made[px <= 0], px[px <= 0], atol=1e-3)
    # No order is lost, and nowhere is there a step.
    assert (np.diff(made) > -1e-3).all() and np.diff(made).max() < 3 * (px[1] - px[0])


def test_only_the_opening_changes() -> None:
    given = openings(np.array([2.0, 8.0, 20.0], np.float32))
    change = touching(given) - given
    along = (change @ geometry.opening_weights())[:, None] * geometry.opening_direction()
    np.testing.assert_allclose(change, along, atol=1e-4)


def test_a_stream_is_changed_row_by_row() -> None:
    class Two:
        def push(self, samples: np.ndarray) -> np.ndarray:
            return openings(np.array([3.0], np.float32))

        def finish(self) -> np.ndarray:
            return openings(np.array([20.0], np.float32))

    stream = Touching(Two())
    assert geometry.opening(stream.push(np.zeros(640, np.float32)))[0] < CLOSED_PX
    assert abs(geometry.opening(stream.finish())[0] - 20) < 1e-3


def test_rest_is_pressed_and_speech_is_not() -> None:
    rest = pressed(np.zeros((11, geometry.GEOMETRY), np.float32))
    np.testing.assert_allclose(geometry.opening(rest), -PRESSED_PX, atol=1e-4)
    spoken = openings(np.array([0.0, 5.0, 15.0], np.float32))
    np.testing.assert_allclose(pressed(spoken), spoken, atol=0.01)
