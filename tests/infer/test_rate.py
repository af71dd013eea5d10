"""Changing the rate of rows: exact at whole times, the same in pieces as in one, no drift."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kouxing.infer.rate import RateChange

RATES = st.sampled_from([Fraction(25), Fraction(30), Fraction(50), Fraction(60), Fraction(30000, 1001)])


def whole(rows: np.ndarray, rate: Fraction, wanted: Fraction) -> np.ndarray:
    change = RateChange(rate, wanted)
    return np.concatenate([change.push(rows), change.finish()])


@given(RATES, RATES, st.integers(1, 60), st.lists(st.integers(1, 17), max_size=8))
def test_pieces_equal_the_whole(rate: Fraction, wanted: Fraction, count: int, cuts: list[int]) -> None:
    rows = np.random.default_rng(count).random((count, 3)).astype(np.float32)
    change, made = RateChange(rate, wanted), []
    for piece in np.split(rows, np.minimum(np.cumsum(cuts), count).astype(int)):
        made.append(change.push(piece))
    made.append(change.finish())
    np.testing.assert_array_equal(np.concatenate([m for m in made if m.size]), whole(rows, rate, wanted))


@given(RATES, RATES, st.integers(2, 400))
def test_a_straight_line_stays_one(rate: Fraction, wanted: Fraction, count: int) -> None:
    line = np.arange(count, dtype=np.float32)[:, None]
    made = whole(line, rate, wanted)
    assert len(made) == -(-count * wanted // rate)
    times = np.arange(len(made)) * float(rate / wanted)
    np.testing.assert_allclose(made[:, 0], np.minimum(times, count - 1), atol=1e-3)


def test_an_hour_does_not_drift() -> None:
    change = RateChange(Fraction(25), Fraction(60))
    made = sum(len(change.push(np.zeros((25, 1), np.float32))) for _ in range(3600))
    assert made + len(change.finish()) == 3600 * 60


def test_the_end_can_be_told() -> None:
    change = RateChange(Fraction(25), Fraction(60))
    made = len(change.push(np.ones((10, 2), np.float32)))
    assert made + len(change.finish(40)) == 40
    assert RateChange(Fraction(25), Fraction(60)).finish().shape == (0, 0)
