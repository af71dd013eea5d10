"""From when on an offset is believed, and the offset of however long a clip in bounded memory.

Where the face that is seen speaks, the best lag is hardly ever wrong. What must be told apart is a face that does not:
a voice from off screen, a listener, another language laid over. So the chance is one of "the face speaks, and the
offset is within a frame", taken from how far the best lag stands out among all, from how many single seconds agree
with it, and, where lips are tracked and an ear listens, from how far it stands out in a second opinion
(``score_opinion``). All are ratios, free of the networks' own scales; ``Offset.probability`` knows true pairs foremost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kouxing.face.offset import APART, Calibration, Offset, find_offset, lag_evidence
from kouxing.infer.score_opinion import Shapes, opinion, standing
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

SURE = 0.7
"""Offsets with a smaller chance of being right within a frame are no answer (docs/images/sync-reliability.png)."""

WEIGHTS = (1.46, 0.94, -0.64, -0.53)
"""Of the discriminator's ``features``, the constant last; from ``recipes/sync_sure.py``: validation clips, a fifth with
another's sound. Fitted on three windows of each length and clip; the recipe draws nine now and would say others.
Both were fitted with a discriminator that heard 5 frames and kept for today's, with which the second is off by .022 on
validation clips and a fit anew by .023 (docs/log.md)."""

SECONDED = (0.72, 1.06, -1.03, 0.89, -0.34)
"""The same where there is a second opinion: its ``standing`` comes last but the constant.
Fitted on nine."""

VOTE = FRAME_HZ
VOTE_STEP = 8
MOST_VOTES = 250
FEWEST = 3
"""Rows of a vote that must know each lag."""

LONG = 4 * FRAME_HZ
AGREED = 0.35
OUTSTANDING = 4.0
"""Of validation windows of so many rows all true ones had more of their seconds agree, 90 % of the others half of it; a
lead as large stands for itself, as where somebody speaks but now and then."""

LONGEST = 600 * FRAME_HZ
"""Rows that one offset is found in; of longer clips, minutes spread evenly over them."""
MINUTE = 60 * FRAME_HZ


@dataclass(frozen=True)
class Ruler:
    """How offsets are found: with the calibration of the discriminator that the similarities are from."""

    calibration: Calibration | None

    def measure(self, sim: Float, spoken: Bool, shapes: Shapes | None = None) -> Offset:
        """The offset of a clip or a part of it; its ``probability`` is that of this module.

        Args:
            sim: ``[T, 31]`` (``face.offset.similarities``). spoken: ``[T]``, frames that are not silent.
            shapes: of the same rows, for a second opinion. It makes the offset more or less sure, never another one.
        """
        if len(sim) > LONGEST:
            sim, spoken, shapes = _spread(sim, spoken, shapes)
        told = find_offset(sim, spoken, self.calibration)
        if told.abstained:
            return told
        if np.isfinite(sim).sum(0).min() < FEWEST:
            return replace(told, probability=0.0, abstained="too short")
        steepness = (self.calibration or Calibration()).steepness
        second = None if shapes is None else opinion(shapes)
        return replace(told, probability=chance(features(sim, told, steepness, second)))


def is_sure(told: Offset) -> bool:
    """Whether it may be given as an answer."""
    return not told.abstained and told.probability >= SURE


def features(sim: Float, told: Offset, steepness: float, second: Float | None = None) -> Float:
    """``[3]``: lead of the best lag over its best rival in spreads of all rivals, share of seconds that vote for it,
    logarithm of the rows. ``[4]`` with a ``second`` opinion ``[31]``: by how much the lag stands out there."""
    best = int(told.evidence.argmax())
    rivals = told.evidence[np.abs(np.arange(len(told.evidence)) - best) >= APART]
    lead = float(told.evidence[best] - rivals.max()) / max(float(rivals.std()), 1e-6)
    own = [min(lead, 10.0), votes(sim, best, steepness), np.log(max(told.rows, 1))]
    return np.array(own if second is None else [*own, standing(second, best)], np.float32)


def votes(sim: Float, best: int, steepness: float) -> float:
    """Share of single seconds whose own best lag is within a frame of ``best``; 0 where none can tell."""
    last = max(len(sim) - VOTE, 0)
    agreed = asked = 0
    for first in range(0, last + 1, max(VOTE_STEP, last // MOST_VOTES)):
        part = sim[first : first + VOTE]
        if np.isfinite(part).sum(0).min() >= FEWEST:
            asked += 1
            agreed += abs(int(lag_evidence(part, steepness).argmax()) - best) <= 1
    return agreed / asked if asked else 0.0


def chance(told: Float) -> float:
    """Probability from ``features``."""
    lead, agreed, rows = (float(value) for value in told[:3])
    weights = WEIGHTS if len(told) < len(WEIGHTS) else SECONDED
    known = 1 / (1 + np.exp(-float(np.dot(told, weights[:-1]) + weights[-1])))
    doubtful = rows >= np.log(LONG) and agreed < AGREED and lead < OUTSTANDING
    return float(min(known, 0.5) if doubtful else known)


def _spread(sim: Float, spoken: Bool, shapes: Shapes | None) -> tuple[Float, Bool, Shapes | None]:
    """Minutes of a long clip, with gaps as wide as the lags reach, so that none touches the next one's sound."""
    gap = sim.shape[1]
    starts = np.linspace(0, len(sim) - MINUTE, LONGEST // MINUTE).astype(int).tolist()

    def spread(rows: Any, blank: Any) -> Any:
        gaps = np.full((gap, *rows.shape[1:]), blank, rows.dtype)
        return np.concatenate([part for start in starts for part in (_minute(rows, start, blank), gaps)])

    if shapes is not None:
        shapes = Shapes(spread(shapes.seen, np.nan), spread(shapes.heard, np.nan))
    return spread(sim, np.nan), spread(spoken, False), shapes


def _minute(rows: Any, start: int, blank: Any) -> Any:
    """``MINUTE`` rows from ``start`` on, ``blank`` beyond the end: a sound may end before its pictures."""
    part = rows[start : start + MINUTE]
    rest = np.full((MINUTE - len(part), *rows.shape[1:]), blank, rows.dtype)
    return np.concatenate([part, rest]) if len(rest) else part
