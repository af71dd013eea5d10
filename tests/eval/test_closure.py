"""Closure figures on curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.arkit import PLACE
from kouxing.eval.closure import f1, judge, summary
from kouxing.face.closure import CLOSED_DISTANCE, TYPICAL_DISTANCE

FRAMES = 100
GAP = np.clip(np.sin(np.arange(FRAMES) * 0.5), 0, 1).astype(np.float32)
ALL = np.ones(FRAMES, bool)


def face(gap: np.ndarray) -> np.ndarray:
    values = np.zeros((len(gap), 52), np.float32)
    values[:, PLACE["jawOpen"]] = TYPICAL_DISTANCE * gap
    return values


def test_the_truth_is_perfect() -> None:
    told = judge(face(GAP), GAP, ~ALL, ALL, CLOSED_DISTANCE)
    assert told.f1 == 1 and told.r > 0.999 and abs(told.lag) < 0.05 and told.jitter == pytest.approx(1, rel=1e-4)


def test_late_open_and_restless_lips() -> None:
    late = judge(face(np.roll(GAP, 2)), GAP, ~ALL, ALL, CLOSED_DISTANCE)
    assert late.lag == pytest.approx(2, abs=0.2) and late.f1 < 1
    never = judge(face(GAP + 0.5), GAP, ~ALL, ALL, CLOSED_DISTANCE)
    assert never.f1 == 0 and never.r > 0.999
    rng = np.random.default_rng(0)
    assert judge(face(GAP + rng.uniform(0, 0.3, FRAMES)), GAP, ~ALL, ALL, CLOSED_DISTANCE).jitter > 1.5


def test_only_found_frames_count() -> None:
    found = GAP > 0.3
    told = judge(face(GAP), GAP, ALL, found, CLOSED_DISTANCE)
    assert told.hits == 0 and told.still == (0, int(found.sum()))


def test_summary() -> None:
    good = judge(face(GAP), GAP, GAP < 0.01, ALL, CLOSED_DISTANCE)
    bad = judge(face(0 * GAP + 1), GAP, GAP < 0.01, ALL, CLOSED_DISTANCE)
    told = summary([good, good, bad])
    assert told["f1_clip"] == 1 and 0.7 < told["f1"] < 1 and told["silence"] == pytest.approx(2 / 3)
    assert np.isnan(f1(0, 0, 0)) and f1(1, 0, 1) == pytest.approx(2 / 3)
