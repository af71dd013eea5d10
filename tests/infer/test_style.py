"""A take's manner: how much it moves, without its face at rest, and never at the cost of closed lips."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.face.closure import CLOSED_DISTANCE, lip_distance
from kouxing.infer.style import MOST, WIDEST, like
from kouxing.types import CoefficientTrack


def track(seed: int = 0, rest: float = 0.0, **scales: float) -> CoefficientTrack:
    rng = np.random.default_rng(seed)
    values = np.zeros((600, len(COEFFICIENTS)), np.float32)
    for name in COEFFICIENTS:
        wave = np.clip(np.sin(np.arange(600) * rng.uniform(0.05, 0.2)), 0, 1)
        values[:, PLACE[name]] = 0.05 * scales.get(name, 1.0) * wave
    return CoefficientTrack(np.clip(values + rest, 0, 1))


def mean(one: CoefficientTrack, name: str) -> float:
    return float(one.column(name).mean())


def test_who_moves_more_makes_more_movement_on_both_sides() -> None:
    said = track()
    lively = like(said, track(1, browDownLeft=4, browDownRight=4, mouthSmileLeft=0.2, mouthSmileRight=0.2))
    for side in ("Left", "Right"):
        assert 2.5 < mean(lively, f"browDown{side}") / mean(said, f"browDown{side}") < 4.5
        assert mean(lively, f"mouthSmile{side}") == pytest.approx(0.5 * mean(said, f"mouthSmile{side}"), rel=0.1)
    # What is said and where one looks are not the take's.
    for name in ("mouthPucker", "mouthFunnel", "eyeLookUpLeft", "eyeBlinkLeft", "tongueOut"):
        np.testing.assert_array_equal(lively.column(name), said.column(name))


def test_it_is_bounded_and_a_face_at_rest_is_no_manner() -> None:
    said = track()
    wild = like(said, track(1, browInnerUp=1000.0))
    assert mean(wild, "browInnerUp") == pytest.approx(MOST * mean(said, "browInnerUp"), rel=0.01)
    assert wild.values.max() <= 1
    at_rest, moved = like(said, track(1)), like(said, track(1, rest=0.4))
    np.testing.assert_allclose(moved.values, at_rest.values, atol=0.01)


def test_closed_lips_stay_closed_and_open_ones_open_wider() -> None:
    said = track(jawOpen=10, mouthClose=0, mouthSmileLeft=0, mouthSmileRight=0)
    closed = lip_distance(said.values) <= CLOSED_DISTANCE
    assert 0.1 < closed.mean() < 0.9
    wide = like(said, track(2, jawOpen=20, mouthClose=0))
    assert (lip_distance(wide.values)[closed] <= 1.5 * CLOSED_DISTANCE).all()
    assert mean(wide, "jawOpen") == pytest.approx(WIDEST * mean(said, "jawOpen"), rel=0.01)


def test_a_take_of_nothing_moves_what_is_said_a_little_less() -> None:
    said = track()
    still = like(said, CoefficientTrack(np.zeros((1, len(COEFFICIENTS)), np.float32)))
    assert np.isfinite(still.values).all() and mean(still, "browInnerUp") < mean(said, "browInnerUp")
