"""References: spread over opening, near in pose, sharp; the same rule with and without chance."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.data.references import choose

APERTURE = np.linspace(0, 0.1, 60).astype(np.float32)
POSE = np.zeros((60, 3), np.float32)
ALL = np.ones(60, bool)


def test_spread_from_closed_to_open() -> None:
    # A mouth that opens and closes over and over, so that no part of the clip lacks an opening.
    aperture = np.tile(np.linspace(0, 0.1, 12), 5).astype(np.float32)
    chosen = choose(aperture, POSE, POSE[0], ALL)
    assert len(chosen) == 3 and np.all(np.diff(aperture[chosen]) > 0)
    assert aperture[chosen[0]] < 0.034 and aperture[chosen[2]] > 0.066


def test_near_in_pose() -> None:
    pose = POSE.copy()
    # A third looks away, less than what is left out as far.
    pose[::3, 0] = 30
    for rng in (None, *map(np.random.default_rng, range(20))):
        assert all(frame % 3 for frame in choose(APERTURE, pose, np.zeros(3, np.float32), ALL, rng=rng))


def test_the_sharpest_of_a_band() -> None:
    sharp = np.zeros(60, np.float32)
    sharp[[7, 33, 59]] = 1
    chosen = choose(APERTURE, POSE, POSE[0], ALL, sharp)
    # All poses are equal, so the first 60 % of frames are near: 33 lies in the last band there.
    assert 7 in chosen and 33 in chosen


def test_only_usable_frames_and_repeats_when_few() -> None:
    usable = np.zeros(60, bool)
    usable[[5, 40]] = True
    chosen = choose(APERTURE, POSE, POSE[0], usable)
    assert set(chosen) == {5, 40} and len(chosen) == 3 and chosen == sorted(chosen)
    usable[40] = False
    assert choose(APERTURE, POSE, POSE[0], usable) == [5, 5, 5]
    with pytest.raises(ValueError, match="no usable"):
        choose(APERTURE, POSE, POSE[0], np.zeros(60, bool))


def test_chance_stays_within_the_bands() -> None:
    rng = np.random.default_rng(0)
    seen = {tuple(choose(APERTURE, POSE, POSE[0], ALL, rng=rng)) for _ in range(30)}
    assert len(seen) > 5 and all(a < b < c for a, b, c in seen)
