"""Clips out of step with their sound are found, moved, and those of somebody else left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kouxing.data.sync import FARTHEST, STEPS, Step, find_step, read_steps, steps_of, write_steps
from kouxing.data.sync_filter import Verdict
from kouxing.errors import DataError


def mouth(count: int, seed: int = 0) -> np.ndarray:
    """Openings that move like speech: smoothed noise."""
    noise = np.random.default_rng(seed).normal(size=count + 8)
    return np.convolve(noise, np.hanning(7), "valid")[:count].astype(np.float32)


@pytest.mark.parametrize("late", [-3, -1, 0, 2, FARTHEST])
def test_a_planted_lag_is_found(late: int) -> None:
    heard = mouth(120)
    seen = np.roll(heard, late) + 0.3 * mouth(120, 1)
    step = find_step(heard, seen, np.ones(120, bool))
    assert step.late == late and step.kept
    assert step.best >= step.as_is and step.best > 0.8


def test_another_persons_voice_is_left_out() -> None:
    drift = np.linspace(0, 8, 400, dtype=np.float32)
    step = find_step(mouth(400, 0) + drift, mouth(400, 1) - drift, np.ones(400, bool))
    assert not step.kept and step.late == 0


def test_a_short_or_uncertain_clip_stays_as_it_is() -> None:
    heard = mouth(39)
    assert find_step(heard, np.roll(heard, 2), np.ones(39, bool)).late == 0
    found = np.zeros(200, bool)
    assert find_step(mouth(200), np.roll(mouth(200), 3), found).late == 0
    # Better by a hair is not enough to move a clip.
    broad = np.convolve(mouth(300), np.ones(15) / 15, "same")
    assert find_step(broad, np.roll(broad, 1), np.ones(300, bool)).late == 0


def test_still_mouths_tell_nothing() -> None:
    step = find_step(np.zeros(100, np.float32), mouth(100), np.ones(100, bool))
    assert step.late == 0 and step.best == 0.0


def test_a_late_sound_is_an_early_mouth() -> None:
    """The filter tells the sound, training moves the mouth."""

    def verdict(name: str, kept: bool, late: int) -> Verdict:
        return Verdict(name, kept, late, float(late), 0.1, 0.9, "")

    told = [verdict("late", True, 2), verdict("still", True, 0), verdict("wrong", False, 0)]
    steps = steps_of([*told, verdict("far", True, FARTHEST + 1)])
    assert {name: (one.late, one.kept) for name, one in steps.items() if one.kept} == {
        "late": (-2, True),
        "still": (0, True),
    }
    assert set(steps) == {"late", "still", "wrong", "far"}


def test_steps_are_kept_in_a_run(tmp_path: Path) -> None:
    assert read_steps(tmp_path) == {}
    steps = {"one": Step(-2, 0.1, 0.5, True)}
    write_steps(tmp_path, steps)
    assert read_steps(tmp_path) == steps
    for damaged in ("[1", "[1]", '{"one": {"late": 1}}'):
        (tmp_path / STEPS).write_text(damaged)
        with pytest.raises(DataError, match=r"steps\.json"):
            read_steps(tmp_path)
