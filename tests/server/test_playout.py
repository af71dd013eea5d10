"""Sound that waits, is taken ahead of its time, and can be interrupted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.server.playout import FADE, LIVE_S, LONGEST_S, PATIENCE, Playout
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME


def ramp(count: int, first: int = 1) -> np.ndarray:
    """Samples that tell their place."""
    return np.arange(first, first + count, dtype=np.float32)


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=12))
def test_pieces_of_any_size_come_out_as_they_went_in(sizes: list[int]) -> None:
    playout, said = Playout(0), ramp(sum(sizes))
    at = 0
    for size in sizes:
        playout.push(said[at : at + size])
        at += size
    playout.end()
    made = np.concatenate([playout.take() for _ in range(len(said) // SAMPLES_PER_FRAME + 2)])
    np.testing.assert_array_equal(made[: len(said)], said)
    assert not made[len(said) :].any() and playout.counts.underruns == 0


def test_a_source_in_real_time_begins_with_two_blocks_and_may_be_late() -> None:
    playout = Playout(0)
    playout.push(ramp(SAMPLES_PER_FRAME))
    assert not playout.take().any()
    playout.push(ramp(SAMPLES_PER_FRAME, 641))
    assert playout.take()[0] == 1
    playout.push(ramp(100, 1281))
    assert playout.take()[0] == 641
    # Too late: a silent block, counted; nothing of the sound is lost.
    assert not playout.take().any() and playout.counts.underruns == 1
    playout.push(ramp(SAMPLES_PER_FRAME, 1381))
    assert playout.take()[0] == 1281


def test_what_breaks_off_without_an_end_is_played_after_a_while() -> None:
    playout = Playout(0)
    playout.push(ramp(3 * SAMPLES_PER_FRAME // 2))
    made = np.concatenate([playout.take() for _ in range(2 * PATIENCE + 6)])
    assert np.count_nonzero(made) == 3 * SAMPLES_PER_FRAME // 2
    playout.push(ramp(10))
    made = np.concatenate([playout.take() for _ in range(PATIENCE + 3)])
    assert np.count_nonzero(made) == 10


def test_an_interruption_silences_what_was_taken_with_a_fade() -> None:
    playout = Playout(4)
    playout.push(np.ones(20 * SAMPLES_PER_FRAME, np.float32))
    for _ in range(5):
        playout.take()
    assert playout.played(1).all()
    playout.interrupt(2)
    assert playout.waiting_s == 0
    cut = playout.played(2)
    assert cut[0] == 1 and np.all(np.diff(cut[:FADE]) < 0) and not cut[FADE:].any()
    assert not playout.played(3).any() and not playout.take().any()
    playout.push(ramp(SAMPLES_PER_FRAME))
    playout.end()
    assert playout.take()[0] == 1


def test_it_is_bounded_and_says_what_it_did_not_take() -> None:
    playout = Playout(0)
    room = int(LIVE_S * SAMPLE_HZ)
    assert playout.push(np.ones(SAMPLE_HZ, np.float32), live=True) == room
    assert playout.push(np.ones(10, np.float32), live=True) == 0
    assert playout.counts.refused == SAMPLE_HZ - room + 10
    assert playout.push(np.ones(LONGEST_S * SAMPLE_HZ, np.float32)) == LONGEST_S * SAMPLE_HZ - room


def test_a_source_in_real_time_is_caught_up_with_in_its_pauses_alone() -> None:
    said = np.repeat(np.array([1, 1, 0, 0, 0, 0, 1, 1, 1], np.float32), SAMPLES_PER_FRAME)
    for live, blocks in ((True, [1, 1, 0, 0, 1, 1, 1]), (False, [1, 1, 0, 0, 0, 0, 1, 1, 1])):
        playout = Playout(0)
        playout.push(said, live)
        assert [playout.take()[0] for _ in blocks] == blocks
        assert playout.counts.hurried == len(said) // SAMPLES_PER_FRAME - len(blocks)


def test_a_microphone_is_not_laid_into_the_pauses_of_a_text() -> None:
    playout = Playout(0)
    text, voice = np.repeat(np.array([1, 0, 0, 0, 0, 1], np.float32), SAMPLES_PER_FRAME), np.full(320, 2, np.float32)
    playout.push(text)
    for block in (1, 0, 0, 0, 0, 1):
        assert playout.push(voice, live=True) == 0
        assert playout.take()[0] == block
    assert playout.counts.refused == 6 * len(voice) and not playout.counts.hurried
    # More of the text may come until it is told to be over.
    assert playout.push(voice, live=True) == 0
    playout.end()
    assert playout.push(voice, live=True) == len(voice)


def test_blocks_are_played_once_and_in_order() -> None:
    playout = Playout(0)
    for _ in range(4):
        playout.take()
    playout.played(2)
    with pytest.raises(IndexError):
        playout.played(1)
    with pytest.raises(IndexError):
        playout.played(4)
