"""Figures of ``lips`` from rows made by hand: signs, weights, what is left out; and which table they go into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kouxing.eval import figures
from kouxing.eval.lips_figures import lips_figures
from kouxing.eval.rows import LABELS


def row(part: str = "wild", **more: Any) -> dict[str, Any]:
    own: dict[str, Any] = {"id": "a", "part": part, "language": "en", "cross_language": "en", "quiet_pairs": 10}
    return own | {"late": 0, "self_aperture": [], "real_aperture": []} | more


def test_gaps_are_how_much_worse_we_are() -> None:
    rows = [
        row(cross_lsec=5.0, cross_real_lsec=6.0, cross_lsed=7.5, cross_real_lsed=7.0),
        row("grid", cross_lsec=4.0, cross_real_lsec=3.8, cross_lsed=7.0, cross_real_lsed=7.1),
        row("grid", cross_lsec=4.0),
    ]
    found = lips_figures(rows)
    assert found["lsec_gap"] == pytest.approx(0.4) and found["lsed_gap"] == pytest.approx(0.2)
    assert found["lsec_gap_grid"] == pytest.approx(-0.2) and found["lsed_gap_wild"] == pytest.approx(0.5)
    assert found["lsec_cross_grid"] == 4.0


def test_clips_out_of_step_are_judged_by_the_mouth_that_made_the_sound() -> None:
    wave = np.sin(np.arange(60) ** 1.3 / 5)
    late = {"self_aperture": np.roll(wave, 3).tolist(), "real_aperture": wave.tolist(), "late": 3}
    lent = {"cross": "a", "cross_aperture": np.roll(wave, 3).tolist(), "cross_spoken_aperture": wave.tolist()}
    found = lips_figures([row(**late), row(id="b", self_aperture=wave.tolist(), real_aperture=wave.tolist(), **lent)])
    assert found["self_r_wild_in_step"] == found["cross_r_wild_in_step"] == pytest.approx(1.0, abs=1e-3)
    assert found["late_clips_wild"] == 1
    assert lips_figures([row(**late | {"late": 0})])["self_r_wild_in_step"] < 0.95


def test_gains_are_shares_of_what_was_missing() -> None:
    rows = [row(self_ssim=0.9, old_ssim=0.8, self_perceptual=0.06, old_perceptual=0.05), row(self_ssim=0.2)]
    found = lips_figures(rows)
    assert found["ssim_gain"] == pytest.approx(0.5)
    assert found["perceptual_gain"] == pytest.approx(-0.2)


def test_flicker_counts_pairs_and_drift_both_ways_of_dubbing() -> None:
    rows = [
        row(self_flicker=1.0, real_flicker=1.0, quiet_pairs=30, self_drift=0.01, cross_drift=0.03),
        row(self_flicker=4.0, real_flicker=1.0, quiet_pairs=10, self_drift=0.02),
        row(self_flicker=None, real_flicker=None, quiet_pairs=0),
    ]
    found = lips_figures(rows)
    assert found["flicker_ratio"] == pytest.approx(70 / 40)
    assert found["drift"] == pytest.approx(0.02)


def test_languages_are_those_that_are_spoken() -> None:
    rows = [
        row(self_r=0.6, cross_r=0.5, cross_language="zh"),
        row(self_r=0.4, cross_r=0.3),
        row(language="zh", self_r=0.2, cross_r=0.7),
        row("grid", self_r=0.9, cross_r=0.9),
    ]
    found = lips_figures(rows)
    assert (found["clips_lang_en"], found["r_lang_en"], found["cross_r_lang_en"]) == (2, 0.5, 0.5)
    assert (found["r_lang_zh"], found["cross_r_lang_zh"]) == (0.2, 0.5)
    assert found["language_gap"] == pytest.approx(0.3)
    assert "language_gap" not in lips_figures(rows[:2])


def test_each_table_gets_the_figures_that_it_has_lines_for() -> None:
    found = {"self_r_grid": 0.7, "lsec_gap": 0.3, "r_lang_en": 0.5, "psnr_gain_db": 1.0}
    assert set(figures.of_table("dub", found)) == {"self_r_grid", "psnr_gain_db"}
    assert set(figures.of_table("lips", found)) == {"self_r_grid", "lsec_gap", "r_lang_en"}
    assert figures.of_table("of my own", found) == found
    known = {key for key in LABELS["lips"] if not key.startswith(("fit_", "opening_", "quiet_"))}
    assert {"cross_r_grid", "silence_score", "drift", "flicker_ratio", "perceptual_gain"} <= known


def test_the_table_by_language_has_the_columns_that_were_measured(tmp_path: Any) -> None:
    figures.write("lips", "x", {"clips_lang_ko": 1, "r_lang_ko": 0.31, "cross_r_lang_ko": 0.29}, folder=tmp_path)
    table = figures.table("lips", tmp_path)
    assert "| language | clips | correlation, median | another face's speech: correlation, median |" in table
    assert "| ko | 1 | 0.31 | 0.29 |" in table
