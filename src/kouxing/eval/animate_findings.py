"""How near predicted coefficients come to tracked mouths: one way of animating, by group and by language."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kouxing.arkit import COEFFICIENTS, MOUTH, PLACE
from kouxing.data.animate import Take
from kouxing.eval.closure import Judged, f1, judge, summary
from kouxing.eval.in_step import shifted
from kouxing.eval.metrics import correlation
from kouxing.face.closure import CLOSED_DISTANCE
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

GROUPS = {"grid": "GRID", "wild": "in the wild", "mocap": "motion capture, Mandarin"}
MEASURES = {
    "r": ("aperture r, median over clips", 3),
    "r_in_step": ("aperture r, clips filmed out of step moved", 3),
    "f1": ("closure F1", 3),
    "f1_in_step": ("closure F1, clips filmed out of step moved", 3),
    "f1_speech": ("closure F1 inside speech", 3),
    "f1_bilabial": ("closure F1 about p, b and m", 3),
    "silence": ("lips closed in silence", 3),
    "lag_ms": ("lag, ms, median", 0),
    "jitter": ("jitter / real", 2),
    "mae": ("mouth coefficients, mean absolute error", 3),
}
LIVE = "expression live"
WAYS = {"expression": "", LIVE: "live_", "mouth": "mouth_"}
"""Ways of animating, and what stands before the names of their figures."""


@dataclass(frozen=True)
class Findings:
    """What one way of animating reached.

    Attributes:
        judged: a clip's figures, by clip.
        measures: group -> measure -> number (``MEASURES``).
        correlations: group -> coefficient -> median r over clips, where the channel moves.
        languages: language -> ``r`` (median), ``f1`` (of all frames together) and ``clips``.
    """

    judged: dict[str, Judged]
    measures: dict[str, dict[str, float]]
    correlations: dict[str, dict[str, float]]
    languages: dict[str, dict[str, float]]


def findings(
    takes: Sequence[Take],
    rows: dict[str, Float],
    spoken: dict[str, str],
    limits: dict[str, float] | None,
    near: dict[str, Bool] | None = None,
    late: Mapping[str, int] | None = None,
) -> Findings:
    """Judge one way of animating.

    Args:
        takes: what was spoken. rows: what was made of it, by take. spoken: language by take.
        limits: group -> closed distance, only for baselines.
        near: frames about p, b and m, of the takes whose words are known.
        late: frames by which the sound is late, of the takes that were filmed out of step (``eval.in_step``).
    """
    judged: dict[str, Judged] = {}
    measures: dict[str, dict[str, float]] = {}
    correlations: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        own = [take for take in takes if take.group == group]
        if not own:
            continue
        limit = (limits or {}).get(group, CLOSED_DISTANCE)
        mine = {take.name: clip_figures(take, rows[take.name], limit) for take in own}
        talking = [clip_figures(take, rows[take.name], limit, ~take.silent) for take in own]
        told = summary(list(mine.values()))
        stepped = _in_step(own, rows, limit, late or {})
        errors = [_error(take, rows[take.name]) for take in own]
        about = [(take, near[take.name]) for take in own if near and take.name in near]
        measures[group] = {
            "r": told["r"],
            "r_in_step": stepped["r"] if stepped else math.nan,
            "f1": told["f1"],
            "f1_in_step": stepped["f1"] if stepped else math.nan,
            "f1_speech": _f1(talking),
            "f1_bilabial": _f1(
                [clip_figures(take, rows[take.name], limit, close[: len(take)]) for take, close in about]
            )
            if about
            else math.nan,
            "silence": told["silence"],
            "lag_ms": told["lag"] * 1000 / FRAME_HZ,
            "jitter": told["jitter"],
            "mae": float(np.mean(errors)),
        }
        correlations[group] = {name: _channel(own, rows, name) for name in COEFFICIENTS}
        judged |= mine
    return Findings(judged, measures, correlations, by_language(takes, judged, spoken))


def by_language(
    takes: Sequence[Take], judged: dict[str, Judged], spoken: dict[str, str]
) -> dict[str, dict[str, float]]:
    """Each language's median r, closure F1 and number of clips; motion capture is Mandarin."""
    languages: dict[str, list[Judged]] = {}
    for take in takes:
        if take.name in judged:
            languages.setdefault(spoken.get(take.name, "zh"), []).append(judged[take.name])
    told = {}
    for language, rows in sorted(languages.items()):
        known = [one.r for one in rows if math.isfinite(one.r)]
        r = float(np.median(known)) if known else math.nan
        told[language] = {"r": r, "f1": _f1(rows), "clips": float(len(rows))}
    return told


def best_threshold(takes: Sequence[Take], rows: dict[str, Float]) -> dict[str, float]:
    """Group -> closed distance with the highest F1 there: in hindsight, which flatters the baseline."""
    tried = np.linspace(0.005, 0.3, 60)
    best = {}
    for group in {take.group for take in takes}:
        own = [take for take in takes if take.group == group]
        scores = [_f1([clip_figures(take, rows[take.name], float(limit)) for take in own]) for limit in tried]
        best[group] = float(tried[int(np.nanargmax(scores))])
    return best


def clip_figures(
    take: Take, rows: Float, limit: float = CLOSED_DISTANCE, where: Bool | None = None, late: int = 0
) -> Judged:
    """One clip's figures.

    Args:
        rows: ``[T, 52]`` at video frames. limit: closed distance. where: ``[T]``, which frames count; all by default.
        late: frames by which the take's sound, and so what is made of it, is moved to earlier.
    """
    counted = take.found if where is None else take.found & where
    made, gap = shifted(rows, take.gap, late)
    # What is heard moves with the rows, what is seen stays with the gap.
    silent, seen = shifted(take.silent, counted, late)
    frames = min(len(made), len(silent))
    return judge(made[:frames], gap[:frames], silent[:frames], seen[:frames], limit)


def _in_step(takes: Sequence[Take], rows: dict[str, Float], limit: float, late: Mapping[str, int]) -> dict[str, float]:
    """``summary`` of a group with its takes put in step; empty where all of it was filmed so."""
    if not any(take.name in late for take in takes):
        return {}
    return summary([clip_figures(take, rows[take.name], limit, late=late.get(take.name, 0)) for take in takes])


def _f1(rows: Sequence[Judged]) -> float:
    return f1(sum(row.hits for row in rows), sum(row.misses for row in rows), sum(row.alarms for row in rows))


def _error(take: Take, rows: Float) -> float:
    frames = min(len(take), len(rows))
    seen = take.found[:frames]
    channels = [PLACE[name] for name in MOUTH if take.channels[PLACE[name]]]
    return float(np.abs(rows[:frames][seen][:, channels] - take.values[:frames][seen][:, channels]).mean())


def _channel(takes: Sequence[Take], rows: dict[str, Float], name: str) -> float:
    place, found = PLACE[name], []
    for take in takes:
        frames = min(len(take), len(rows[take.name]))
        seen = take.found[:frames]
        real = take.values[:frames, place][seen]
        if take.channels[place] and len(real) and np.ptp(real) > 0.02:
            found.append(correlation(rows[take.name][:frames, place][seen], real))
    return float(np.nanmedian(found)) if found else math.nan
