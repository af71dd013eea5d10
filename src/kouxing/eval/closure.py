"""How well predicted lips follow and close, against the measured gap: pure functions of curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kouxing.eval.metrics import best_lag, correlation
from kouxing.face.closure import CLOSED_SHARE, lip_distance
from kouxing.types import Bool, Float


@dataclass(frozen=True)
class Judged:
    """One clip's figures.

    Attributes:
        r: correlation of predicted lip distance (not under 0) with the measured gap.
        lag: frames by which the prediction is late, with a fraction; NaN where the clip is too short to tell.
        hits, misses, alarms: frames closed in both, in reality only, in the prediction only.
        still: silent frames with predicted lips closed, and silent frames in all.
        jitter: acceleration energy of the predicted curve over the real one's, both at the same spread.
    """

    r: float
    lag: float
    hits: int
    misses: int
    alarms: int
    still: tuple[int, int]
    jitter: float

    @property
    def f1(self) -> float:
        """F1 of closed frames; NaN where the lips never close in reality nor in the prediction."""
        return f1(self.hits, self.misses, self.alarms)


def f1(hits: int, misses: int, alarms: int) -> float:
    """2 hits / (2 hits + misses + alarms)."""
    total = 2 * hits + misses + alarms
    return 2 * hits / total if total else float("nan")


def judge(values: Float, gap: Float, silent: Bool, found: Bool, closed_distance: float) -> Judged:
    """Judge coefficients against the measured gap of the same frames.

    Args:
        values: ``[T, 52]`` predicted.
        gap: ``[T]`` measured inner-lip gap as a share of the clip's 95th percentile.
        silent, found: ``[T]``; only found frames count.
        closed_distance: lips count as closed under this ``lip_distance``; fixed beforehand.
    """
    distance = np.maximum(lip_distance(values), 0)
    made, real = (distance < closed_distance) & found, (gap < CLOSED_SHARE) & found
    quiet = silent & found
    lag = best_lag(np.where(found, distance, np.nan), np.where(found, gap, np.nan))
    return Judged(
        r=correlation(distance[found], gap[found]),
        lag=lag.exact,
        hits=int((made & real).sum()),
        misses=int((~made & real).sum()),
        alarms=int((made & ~real).sum()),
        still=(int((made & quiet).sum()), int(quiet.sum())),
        jitter=_unrest(distance, found) / max(_unrest(gap, found), 1e-6),
    )


def _unrest(curve: Float, found: Bool) -> float:
    """Energy of the second difference where three frames in a row were found, relative to the curve's variance."""
    if found.sum() < 3:
        return 0.0
    three = found[2:] & found[1:-1] & found[:-2]
    second = np.diff(curve, 2)[three]
    return float(np.mean(second**2) / max(np.var(curve[found]), 1e-8)) if len(second) else 0.0


def summary(rows: list[Judged]) -> dict[str, float]:
    """Medians over clips, F1 over all frames together (``f1``) and its median over clips that close (``f1_clip``)."""
    hits, misses, alarms = (sum(getattr(row, name) for row in rows) for name in ("hits", "misses", "alarms"))
    closing = [row.f1 for row in rows if row.hits + row.misses]
    still, quiet = (sum(row.still[place] for row in rows) for place in (0, 1))
    lags = [row.lag for row in rows if np.isfinite(row.lag)]
    return {
        "r": float(np.nanmedian([row.r for row in rows])),
        "f1": f1(hits, misses, alarms),
        "f1_clip": float(np.median(closing)) if closing else float("nan"),
        "lag": float(np.median(lags)) if lags else float("nan"),
        "silence": still / quiet if quiet else float("nan"),
        "jitter": float(np.median([row.jitter for row in rows])),
    }
