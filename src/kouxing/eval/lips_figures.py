"""What the rows of ``evaluate lips`` add up to, beyond ``eval.report.figures``: keys of ``docs/figures/lips.json``.

Parts are reported apart, ``<key>_grid`` and ``<key>_wild``; ``<key>`` alone is over all clips. A gap is how much worse
than the real clips: 0 is as good, below 0 better. Gains over an older dub are shares of what was missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from kouxing.eval.in_step import correlation_in_step
from kouxing.eval.report import PARTS, Row, flicker_ratio, known, mean, median, numbers, share
from kouxing.eval.texture import BANDS

WAYS = ("real", "self", "cross", "copy", "chance")
"""Whose LSE is told; ``chance`` is a real mouth with unrelated speech."""


def lips_figures(rows: Sequence[Row]) -> dict[str, float]:
    """All figures by key; one that cannot be told is left out."""
    found = _overall(rows)
    for part in PARTS:
        chosen = [row for row in rows if row["part"] == part]
        found |= {f"{key}_{part}": value for key, value in {**_overall(chosen), **_beside(chosen)}.items()}
    found |= _in_step([row for row in rows if row["part"] == "wild"])
    found |= _languages([row for row in rows if row["part"] == "wild"])
    return {name: round(value, 4) for name, value in found.items() if math.isfinite(value)}


def _overall(rows: Sequence[Row]) -> dict[str, float]:
    """Figures with a goal."""
    return {
        # LSE-C is better when it is higher, LSE-D when it is lower.
        "lsec_gap": -_mean_change(rows, "cross_real_lsec", "cross_lsec"),
        "lsed_gap": _mean_change(rows, "cross_real_lsed", "cross_lsed"),
        "sharpness_ratio": median(rows, "self_sharpness"),
        "ssim_gain": gain(rows, "ssim", 1.0),
        "perceptual_gain": gain(rows, "perceptual", 0.0),
        "flicker_ratio": flicker_ratio(rows, "self"),
        "silence_score": share(rows, ("self", "cross")),
        "drift": float(np.mean([*numbers(rows, "self_drift"), *numbers(rows, "cross_drift")] or [math.nan])),
    }


def _beside(rows: Sequence[Row]) -> dict[str, float]:
    """Figures to hold those with a goal against."""
    return {
        **{f"{way}_r": median(rows, f"{way}_r") for way in ("cross", "self", "truth", "copy", "wrong", "old")},
        "lsec_gap_self": -_mean_change(rows, "real_lsec", "self_lsec"),
        "lsed_gap_self": _mean_change(rows, "real_lsed", "self_lsed"),
        **{f"{key}_{way}": mean(rows, f"{way}_{key}") for key in ("lsec", "lsed") for way in WAYS},
        **{f"sharpness_{band}": median(rows, f"self_{band}") for band in BANDS},
        **{f"{key}_{way}": mean(rows, f"{way}_{key}") for key in ("ssim", "perceptual") for way in _LIKE},
        "flicker_truth": flicker_ratio(rows, "truth"),
        "silence_real": share(rows, ("truth",)),
        "drift_truth": mean(rows, "truth_drift"),
    }


def _in_step(rows: Sequence[Row]) -> dict[str, float]:
    """Correlations with every real mouth moved to where its sound has it (``eval.in_step``)."""
    late = {row["id"]: row["late"] for row in rows}
    own = [_moved_r(row, "self_aperture", "real_aperture", row["late"]) for row in rows]
    lent = [
        _moved_r(row, "cross_aperture", "cross_spoken_aperture", late[row["cross"]])
        for row in rows
        if row.get("cross") in late
    ]
    return {
        "late_clips_wild": float(sum(frames != 0 for frames in late.values())),
        "self_r_wild_in_step": _known_median(own),
        "cross_r_wild_in_step": _known_median(lent),
    }


def _known_median(values: Iterable[float]) -> float:
    found = [value for value in values if math.isfinite(value)]
    return float(np.median(found)) if found else math.nan


def _moved_r(row: Row, made: str, real: str, late: int) -> float:
    one, other = (np.array([math.nan if at is None else at for at in row[key]], float) for key in (made, real))
    return correlation_in_step(one, other, late)


_LIKE = ("self", "truth", "copy", "old")


def _mean_change(rows: Iterable[Row], base: str, key: str) -> float:
    """Mean of ``key`` minus ``base`` over the clips that have both."""
    changes = [row[key] - row[base] for row in rows if known(row.get(key)) and known(row.get(base))]
    return float(np.mean(changes)) if changes else math.nan


def gain(rows: Iterable[Row], key: str, best: float) -> float:
    """By which share our mean distance from ``best`` is smaller than the older dubs', over the clips that have both."""
    both = [row for row in rows if known(row.get(f"self_{key}")) and known(row.get(f"old_{key}"))]
    ours, old = (sum(abs(best - row[f"{way}_{key}"]) for row in both) for way in ("self", "old"))
    return 1 - ours / old if old > 0 else math.nan


def _languages(rows: Sequence[Row]) -> dict[str, float]:
    """By the language that is spoken: clips, own speech, speech put onto another face; and best minus worst."""
    found: dict[str, float] = {}
    own: list[float] = []
    for language in sorted({row["language"] for row in rows}):
        spoken = [row for row in rows if row["language"] == language]
        lent = [row for row in rows if row["cross_language"] == language]
        found[f"clips_lang_{language}"] = float(len(spoken))
        found[f"r_lang_{language}"] = median(spoken, "self_r")
        found[f"cross_r_lang_{language}"] = median(lent, "cross_r")
        own += [value for value in (found[f"r_lang_{language}"],) if math.isfinite(value)]
    if len(own) > 1:
        found["language_gap"] = max(own) - min(own)
    return found
