"""Placements are drawn as often as they are likely, sound by sound, and pieces join without a gap."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kouxing.text.placements import PAUSE, PIECE, Chain, cuts, draw

RNG = np.random.default_rng(3)


def line(lengths: list[int], pauses: list[bool], longest: int, further: float = -0.2) -> Chain:
    """Sounds one after the other, each as long as it likes around its length."""
    count, frames = len(lengths), np.arange(1, longest + 1)[:, None]
    prior = np.where(pauses, 0.0, -2.0 * np.log(frames / np.array(lengths)) ** 2)
    before = np.array([[count], *([place] for place in range(count - 1))])
    return Chain(np.arange(count), before, prior, np.where(pauses, 0.0, further))


@pytest.mark.parametrize("longest", [3, 8])
def test_placements_are_drawn_as_often_as_they_are_likely(longest: int) -> None:
    frames, chain = 8, line([2, 4, 1], [False] * 3, longest)
    scores = RNG.normal(0, 0.7, (frames, 3))
    path = np.repeat([0, 1, 2], [2, 4, 2])

    def price(place: int, length: int) -> float:
        known = min(length, longest)
        return float(chain.prior[known - 1, place] + (length - known) * chain.further[place])

    chances = {}
    for first, second in combinations(range(1, frames), 2):
        bounds = [0, first, second, frames]
        told = sum(
            scores[low:high, place].sum() + price(place, high - low)
            for place, (low, high) in enumerate(zip(bounds[:-1], bounds[1:], strict=True))
        )
        chances[first, second] = np.exp(told)
    total = sum(chances.values())
    count = 4000
    drawn = draw(scores, chain, path, np.zeros(3, bool), np.ones(frames, bool), count, np.random.default_rng(0))
    assert (np.diff(drawn, axis=1) >= 0).all()
    for (first, second), chance in chances.items():
        seen = ((drawn == 0).sum(1) == first) & ((drawn <= 1).sum(1) == second)
        share = chance / total
        assert abs(seen.mean() - share) < 4 * (share * (1 - share) / count) ** 0.5 + 1e-3


def test_one_of_two_ways_is_drawn_as_often_as_it_is_likely() -> None:
    # Sound 0, then 1 or 2, then 3; the second way tells three times as well.
    before = np.array([[4, 4], [0, 4], [0, 4], [1, 2]])
    chain = Chain(np.arange(4), before, np.zeros((6, 4)), np.zeros(4))
    scores = np.full((6, 4), -50.0)
    scores[:2, 0] = scores[2:4, 1:3] = scores[4:, 3] = 0.0
    scores[2, 2] += np.log(3)
    path = np.array([0, 0, 1, 1, 3, 3])
    drawn = draw(scores, chain, path, np.zeros(4, bool), np.ones(6, bool), 2000, np.random.default_rng(0))
    assert abs((drawn[:, 2] == 2).mean() - 0.75) < 0.04


def test_a_long_sound_is_cut_in_heard_pauses_and_every_sound_is_still_there() -> None:
    lengths = [20, 30, 8, 40, 30, 12, 20]
    pauses = np.array([False, False, False, True, False, False, False])
    path = np.repeat(np.arange(7), lengths)
    heard = np.ones(len(path), bool)
    assert cuts(path, pauses, heard) == [20 + 30 + 8 + 20]
    heard[70:80] = False
    assert cuts(path, pauses, heard) == []
    scores = np.full((len(path), 7), -0.2)
    scores[np.arange(len(path)), path] = 0.0
    drawn = draw(scores, line(lengths, list(pauses), 50), path, pauses, ~np.zeros(len(path), bool), 5, RNG)
    # The same at the cut; else here and there.
    assert (drawn[:, 78] == 3).all() and len({tuple(one) for one in drawn}) == 5
    assert all(set(one) == set(range(7)) and (np.diff(one) >= 0).all() for one in drawn)


def test_speech_without_pauses_is_cut_where_it_is_heard() -> None:
    sounds = 6 * PIECE // 10
    path = np.repeat(np.arange(sounds), 10)
    heard, pauses = np.ones(len(path), bool), np.zeros(sounds, bool)
    heard[PIECE : PIECE + 200] = False
    found = cuts(path, pauses, heard)
    assert found and all(heard[at - PAUSE : at + PAUSE].all() for at in found)
    assert np.diff([0, *found, len(path)]).max() <= 2 * PIECE and (np.array(found) % 10 == 0).all()
