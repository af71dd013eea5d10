"""Speech of any level becomes speech of one level, in whatever pieces it comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.audio.level import USUAL, Leveller

rng = np.random.default_rng(0)
SPEECH = (rng.normal(0, 1, 80_000) * np.repeat(rng.uniform(0, 1, 50), 1600)).astype(np.float32)


@pytest.mark.parametrize("level", [0.01, 0.03, 0.3])
def test_levels_come_together(level: float) -> None:
    made = Leveller().push(np.tile(SPEECH, 4) * level)[-len(SPEECH) :]
    loud = np.sqrt(np.mean(np.sort(made**2)[len(made) // 2 :]))
    assert 0.5 * np.sqrt(USUAL) < loud < 2 * np.sqrt(USUAL)


@given(st.lists(st.integers(1, 5_000), max_size=12))
def test_pieces_do_not_matter(lengths: list[int]) -> None:
    one = Leveller()
    pieces = np.split(SPEECH[:20_000], np.clip(np.cumsum(lengths, dtype=int), 0, 20_000))
    np.testing.assert_array_equal(
        np.concatenate([one.push(piece) for piece in pieces]), Leveller().push(SPEECH[:20_000])
    )


def test_what_comes_later_changes_nothing_before() -> None:
    other = SPEECH.copy()
    other[40_000:] *= 10
    np.testing.assert_array_equal(Leveller().push(other)[:40_000], Leveller().push(SPEECH)[:40_000])


def test_silence_stays_silence() -> None:
    assert not Leveller().push(np.zeros(1_000, np.float32)).any()
    assert Leveller().push(np.zeros(0, np.float32)).shape == (0,)


def test_a_knock_does_not_rule_for_long() -> None:
    quiet, knock = np.tile(SPEECH, 2) * 0.02, np.zeros(1_600, np.float32)
    knock[:] = rng.normal(0, 0.5, 1_600)
    plain, knocked = Leveller(), Leveller()
    plain.push(quiet), knocked.push(np.concatenate([quiet, knock]))
    after = [np.abs(one.push(SPEECH[:16_000] * 0.02)).mean() for one in (plain, knocked)]
    assert after[1] > 0.5 * after[0]
