"""Footage that never ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.server.idle_loop import choose, place


@given(st.integers(1, 400), st.integers(0, 5000))
def test_neighbours_in_time_are_neighbours_in_the_footage(length: int, number: int) -> None:
    here, following = place(number, length), place(number + 1, length)
    assert 0 <= here < length
    assert abs(here - following) == (1 if length > 1 else 0)


def test_both_ends_are_shown_once_a_turn() -> None:
    assert [place(number, 4) for number in range(10)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    with pytest.raises(ValueError, match="no picture"):
        place(0, 0)
    with pytest.raises(ValueError, match="no picture"):
        place(-1, 4)


def found(text: str) -> tuple[np.ndarray, np.ndarray]:
    """``x`` a face, ``|`` a face in the first frame of a shot, ``.`` none."""
    return np.array([one in "x|" for one in text]), np.array([one == "|" for one in text])


@pytest.mark.parametrize(
    ("text", "longest", "piece"),
    [
        ("xxxxx", 100, (0, 5)),
        ("xx.xxxx.x", 100, (3, 7)),
        ("xxxx|xxxxx.", 100, (4, 10)),
        ("xxxxxx", 4, (0, 4)),
        ("...x", 100, (3, 4)),
    ],
)
def test_the_longest_run_of_one_shot_is_taken(text: str, longest: int, piece: tuple[int, int]) -> None:
    present, cut = found(text)
    assert choose(present, cut, np.zeros(len(text), np.float32), longest) == piece


def test_it_turns_round_where_the_head_is_calm() -> None:
    speed = np.ones(80, np.float32)
    speed[4:7] = 0
    speed[72:75] = 0
    first, stop = choose(np.ones(80, bool), np.zeros(80, bool), speed, 1000)
    assert (first, stop) == (5, 74)


def test_no_face_is_told() -> None:
    with pytest.raises(ValueError, match="face"):
        choose(np.zeros(5, bool), np.zeros(5, bool), np.zeros(5, np.float32), 10)
