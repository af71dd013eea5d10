"""Footage out of step: what moves it, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kouxing.data.manifest import Clip
from kouxing.eval.in_step import correlation_in_step, late_by, shifted
from kouxing.face.offset import similarities

WILD = Clip("one", "test", "somebody", "en", 5.0, "research", "films")


def unit(seed: int, frames: int = 125) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(frames, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("late", [-4, 0, 1, 3])
def test_a_clip_whose_sound_is_late_is_told_so(late: int) -> None:
    mouths = unit(1)
    sims = similarities(mouths, np.roll(mouths, late, 0))
    spoken = np.zeros(len(mouths), bool)
    assert late_by(WILD, sims, spoken, None) == (late if abs(late) > 1 else 0)
    assert late_by(replace(WILD, corpus="GRID"), sims, spoken, None) == 0
    assert late_by(replace(WILD, seconds=1.2), sims, spoken, None) == 0


def test_foreign_sound_moves_nothing() -> None:
    assert late_by(WILD, similarities(unit(1), unit(2)), np.zeros(125, bool), None) == 0


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_rows_that_belong_together_meet(late: int) -> None:
    real = np.sin(np.arange(80) ** 1.3 / 5)
    made = np.roll(real, late)
    one, other = shifted(made, real, late)
    assert len(one) == len(other) == 80 - abs(late) and np.array_equal(one, other)
    assert correlation_in_step(made, real, late) == pytest.approx(1.0)
    assert late == 0 or correlation_in_step(made, real, 0) < 0.95
