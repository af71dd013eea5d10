"""What ``bench_sync`` measures with: sound moved in the content, found again, and counted honestly."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fake_media import make_video, wave
from kouxing.media.reader import load_sound
from kouxing.units import SAMPLE_HZ
from scripts import script


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return script("benchmarks/bench_sync.py")


@pytest.mark.parametrize("late", [-12, -1, 7])
def test_moved_sound_is_found_again(bench: ModuleType, tmp_path: Path, late: int) -> None:
    samples = wave("speechlike", 3.0, SAMPLE_HZ)
    moved = bench.moved_content(samples, late)
    assert len(moved) == len(samples)
    assert bench.shift_between(moved, samples) == late
    source, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    make_video(source, frames=75, options={"preset": "medium", "bf": "2"})
    bench.with_sound(source, moved, out)
    assert bench.video_bytes(out) == bench.video_bytes(source)
    assert bench.shift_between(load_sound(out).samples, samples) == pytest.approx(late, abs=0.1)


def test_what_is_refused_counts_as_not_mended(bench: ModuleType) -> None:
    case = bench.Case
    cases = [
        case("grid", "a", 3, 0.2),
        case("grid", "a", -4, None),
        case("wild", "b", 5, -1.4),
        case("wild", "b", 6, 0.9),
        case("wild", "b", bench.FOREIGN, None),
        case("grid", "a", bench.FOREIGN, float("nan")),
    ]
    found = bench.figures_of(cases)
    assert found["fix_within1"] == 0.5
    assert found["fix_within1_grid"] == 0.5
    assert found["fix_refused"] == 0.25
    assert found["fix_wrong_wild"] == 0.5
    assert found["score_false"] == 0.5
    assert found["fix_same_pictures"] == 1.0
    assert np.isfinite(list(found.values())).all()
