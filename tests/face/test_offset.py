"""Offsets out of similarities: signs, ends, parts between frames, silence, drift."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kouxing.face.offset import REACH, Calibration, Offset, drift, features, find_offset, similarities


def vectors(frames: int, seed: int = 0) -> np.ndarray:
    """Unit rows ``[T, 24]`` that change slowly, as those of real windows do."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 1, (frames + 4, 24))
    smooth = np.stack([raw[k : k + frames] for k in range(5)]).mean(0)
    return (smooth / np.linalg.norm(smooth, axis=1, keepdims=True)).astype(np.float32)


def noisy(rows: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    other = rows + share * np.random.default_rng(seed).normal(0, 1, rows.shape)
    return (other / np.linalg.norm(other, axis=1, keepdims=True)).astype(np.float32)


def delayed(speech: np.ndarray, late: int) -> np.ndarray:
    """The sound ``late`` frames later; rows that nothing is known of are NaN."""
    result = np.full_like(speech, np.nan)
    first, last = max(0, late), len(speech) + min(0, late)
    result[first:last] = speech[first - late : last - late]
    return result


@pytest.mark.parametrize("late", [-15, -7, -1, 0, 2, 11, 15])
def test_sound_that_is_late_has_a_positive_offset(late: int) -> None:
    mouth = vectors(90)
    found = find_offset(similarities(mouth, delayed(noisy(mouth, 0.2), late)))
    assert not found.abstained and abs(found.frames - late) < 0.5
    assert found.ms == pytest.approx(found.frames * 40)
    assert found.curve.argmin() == found.evidence.argmax() == late + REACH
    assert found.confidence == pytest.approx(np.median(found.curve) - found.curve.min()) and found.confidence > 0
    assert found.distance == pytest.approx(found.curve.min())


def test_columns_are_lags_and_ends_are_nan() -> None:
    mouth, speech = vectors(12), vectors(12, 5)
    speech[:2] = np.nan
    sims = similarities(mouth, speech, reach=3)
    assert sims.shape == (12, 7)
    assert sims[4, 3 + 2] == pytest.approx(float(mouth[4] @ speech[6]))
    assert np.isfinite(sims[4, 3 - 2]) and np.isnan(sims[3, 3 - 2])
    assert np.isnan(sims[11, 4:]).all() and np.isnan(sims[0, :3]).all()


def test_between_frames() -> None:
    # Speech sampled a third of a frame later than the mouth.
    fine = vectors(300)
    times = np.arange(90) * 3
    mouth, speech = fine[times + 3], fine[times + 2]
    found = find_offset(similarities(mouth, speech))
    assert 0.1 < found.frames < 0.6


def test_abstains_where_nobody_speaks_or_nobody_is_seen() -> None:
    mouth = vectors(60)
    sims = similarities(mouth, noisy(mouth, 0.2))
    quiet = find_offset(sims, np.zeros(60, bool))
    assert quiet.abstained == "hardly anybody speaks" and math.isnan(quiet.frames) and quiet.probability == 0
    blind = find_offset(np.full((60, 31), np.nan, np.float32))
    assert blind.abstained and math.isnan(blind.frames) and blind.rows == 0
    short = find_offset(similarities(mouth[:9], mouth[:9]))
    assert short.abstained
    none = find_offset(np.zeros((0, 31), np.float32))
    assert none.abstained


def test_chances_follow_the_weights() -> None:
    mouth = vectors(60)
    sims = similarities(mouth, noisy(mouth, 0.2))
    assert math.isnan(find_offset(sims).probability)
    sure, unsure = Calibration(10.0, (0.0, 0.0, 0.0, 0.0, 3.0)), Calibration(10.0, (0.0, 0.0, 0.0, 0.0, -3.0))
    assert find_offset(sims, None, sure).probability == pytest.approx(1 / (1 + math.exp(-3)))
    assert find_offset(sims, None, unsure).probability == pytest.approx(1 / (1 + math.exp(3)))
    assert Calibration.of(sure.as_dict()) == sure


def test_true_clips_lead_by_more_than_wrong_sound() -> None:
    mouth, strange = vectors(75), vectors(75, 9)

    def lead(found: Offset) -> float:
        return float(features(found.evidence, found.curve, found.rows)[0])

    assert lead(find_offset(similarities(mouth, noisy(mouth, 0.4)))) > 1.5 + lead(
        find_offset(similarities(mouth, strange))
    )


def test_rows_and_columns_that_resemble_everything_do_not_vote() -> None:
    mouth = vectors(60)
    speech = noisy(mouth, 0.6)
    sims = similarities(mouth, speech)
    late, plain = sims.copy(), find_offset(sims)
    # One moment of speech (at 40) is alike to every mouth: its slanted column must not draw the offset to itself.
    for column in range(31):
        row = 40 - (column - REACH)
        if 0 <= row < 60:
            late[row, column] = 0.99
    assert abs(find_offset(late).frames - plain.frames) < 0.5


def test_drift_sees_a_jump() -> None:
    mouth = vectors(200)
    speech = noisy(mouth, 0.2)
    moved = np.concatenate([speech[:100], delayed(speech, 6)[100:]])
    middles, found = drift(similarities(mouth, moved), window=50, step=25)
    offsets = np.array([one.frames for one in found])
    assert abs(offsets[0]) < 1 and abs(offsets[-1] - 6) < 1 and len(middles) == len(found) and middles[0] == 24.5
    middles, found = drift(similarities(mouth[:30], speech[:30]))
    assert len(found) == 1
