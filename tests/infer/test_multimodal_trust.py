"""Where a text stands beside it, sound counts for itself as far as it is clear."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.infer import multimodal_trust
from kouxing.infer.multimodal_trust import AROUND, FOLLOWS, MOST, SMOOTH, followed, heard_share


def clear(levels: np.ndarray, lost: slice = slice(0, 0)) -> np.ndarray:
    rows = np.zeros((len(levels), 6), np.float32)
    rows[:, :4] = levels[:, None]
    rows[lost, -1] = 1
    return rows


def test_the_clearer_the_sound_the_more_it_counts() -> None:
    rng = np.random.default_rng(0)
    syllables = (rng.random(200) > 0.4).astype(np.float32)
    quiet, noisy, between = (heard_share(clear(level * syllables)) for level in (1.5, 0.09, 0.2))
    assert np.allclose(quiet, MOST, atol=1e-6) and not noisy.any()
    assert (between > 0.3 * MOST).all() and (between < 0.7 * MOST).all()


def test_it_is_told_by_what_is_near_and_nothing_counts_where_sound_is_lost() -> None:
    levels = np.concatenate([np.full(3 * AROUND, 1.5), np.full(3 * AROUND, 0.05)]).astype(np.float32)
    share = heard_share(clear(levels, slice(60, 80)))
    assert share[20] == pytest.approx(MOST) and share[-20] == 0
    assert not share[60:80].any() and 0 < share[60 - SMOOTH // 2] < share[40] == pytest.approx(MOST)
    for frames in (1, 2, 4):
        assert not heard_share(clear(levels, slice(60, 60 + frames)))[60 : 60 + frames].any()
    assert (np.abs(np.diff(share)) < MOST / SMOOTH + 1e-6).all()
    assert not heard_share(clear(levels, slice(0, len(levels)))).any()


def test_parts_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clear(np.random.default_rng(0).random(400).astype(np.float32), slice(100, 130))
    whole = heard_share(rows)
    monkeypatch.setattr(multimodal_trust, "AT_ONCE", 70)
    np.testing.assert_allclose(heard_share(rows), whole, atol=1e-6)
    assert len(heard_share(rows[:1])) == 1


def test_lips_follow_their_own_sound_at_any_small_lag() -> None:
    rng = np.random.default_rng(0)
    heard = np.convolve(rng.normal(size=204), np.ones(5) / 5, "valid")
    known = np.ones(200, bool)
    late = np.roll(heard, 3) + 0.1 * rng.normal(size=200)
    other = np.convolve(rng.normal(size=204), np.ones(5) / 5, "valid")
    assert followed(late, heard, known) > 0.8 > FOLLOWS > followed(other, heard, known)  # type: ignore[operator]
    # What is not known does not count, and too little tells nothing.
    spoiled = np.where(np.arange(200) < 60, other, late)
    assert followed(spoiled, heard, np.arange(200) >= 60) > 0.8  # type: ignore[operator]
    assert followed(late, heard, np.arange(200) < 40) is None
    assert followed(np.zeros(200), heard, known) is None
    assert followed(late[:150], heard, known[:150]) > 0.8  # type: ignore[operator]
