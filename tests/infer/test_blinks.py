"""Blinks: as often as people's, whole, the same in pieces, nothing else touched."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kouxing.infer.blinks import LEFT, RIGHT, Blinks

RATE = Fraction(60)


def test_rate_and_shape() -> None:
    made = Blinks(RATE, seed=1).add(np.zeros((60 * 120, 52), np.float32))
    lid = made[:, LEFT]
    np.testing.assert_array_equal(lid, made[:, RIGHT])
    begins = np.flatnonzero((lid[1:] > 0) & (lid[:-1] == 0))
    assert 20 <= len(begins) <= 60
    assert lid.max() > 0.95 and 0.02 < (lid > 0.01).mean() < 0.15
    assert made[:, [c for c in range(52) if c not in (LEFT, RIGHT)]].max() == 0


def test_pieces_and_seeds() -> None:
    rows = np.random.default_rng(0).uniform(0, 0.1, (1000, 52)).astype(np.float32)
    whole, parts = Blinks(RATE, seed=7).add(rows), Blinks(RATE, seed=7)
    pieces = np.concatenate([parts.add(rows[:13]), parts.add(rows[13:14]), parts.add(rows[14:])])
    np.testing.assert_array_equal(pieces, whole)
    assert not np.array_equal(Blinks(RATE, seed=8).add(rows), whole)


def test_wrong_shape() -> None:
    with pytest.raises(ValueError, match="rows must be"):
        Blinks(RATE).add(np.zeros((3, 51), np.float32))
