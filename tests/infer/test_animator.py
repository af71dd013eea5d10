"""Streaming animation: whole equals pieces, one row for every begun sixtieth of a second, values stay within 0..1."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.infer.animator import Animator
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME


class Loud:
    """A model of one line: every column is the mean level of its video frame, known one frame late."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._owed = 0

    def push(self, samples: Float) -> Float:
        self._held = np.concatenate([self._held, samples])
        whole = max(len(self._held) // SAMPLES_PER_FRAME - 1, 0)
        made = self._held[: whole * SAMPLES_PER_FRAME].reshape(whole, SAMPLES_PER_FRAME)
        self._held = self._held[whole * SAMPLES_PER_FRAME :]
        return self._rows(np.abs(made).mean(1) if whole else np.zeros(0))

    def finish(self) -> Float:
        count = -(-len(self._held) // SAMPLES_PER_FRAME)
        parts = [self._held[i * SAMPLES_PER_FRAME : (i + 1) * SAMPLES_PER_FRAME] for i in range(count)]
        return self._rows(np.array([np.abs(part).mean() for part in parts]))

    @staticmethod
    def _rows(levels: Float) -> Float:
        return np.repeat(np.asarray(levels, np.float32)[:, None], 52, 1)


def whole(samples: Float) -> Float:
    animator = Animator(Loud(), Fraction(25))
    return np.concatenate([animator.push(samples), animator.finish()])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3 * SAMPLE_HZ), st.lists(st.integers(1, 9000), max_size=6))
def test_pieces_equal_the_whole(count: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(count).normal(0, 0.3, count).astype(np.float32)
    animator = Animator(Loud(), Fraction(25))
    bounds = np.minimum(np.cumsum(cuts), count).astype(int)
    made = [animator.push(piece) for piece in np.split(samples, bounds)]
    made.append(animator.finish())
    np.testing.assert_allclose(np.concatenate(made), whole(samples), atol=1e-6)
    assert sum(map(len, made)) == -(-count * 60 // SAMPLE_HZ)


def test_rows_stand_at_their_times_and_within_bounds() -> None:
    samples = np.zeros(2 * SAMPLE_HZ, np.float32)
    samples[SAMPLE_HZ:] = 3.0
    rows = whole(samples)[:, 0]
    assert rows[:57].max() == 0 and rows[60:].min() == 1
    assert rows.max() <= 1


def test_no_sound_no_rows() -> None:
    animator = Animator(Loud(), Fraction(25))
    assert animator.push(np.zeros(0, np.float32)).shape == (0, 52)
    assert animator.finish().shape == (0, 52)
