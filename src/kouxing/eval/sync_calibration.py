"""How sure an offset is: logistic regression on its curve, fitted to planted offsets and wrong sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kouxing.eval.sync_metrics import inner_windows, is_right
from kouxing.face.offset import Calibration, features, find_offset, similarities
from kouxing.types import Bool, Float

LENGTHS_S = (0.8, 1.0, 1.5, 2.0, 3.0)
RIDGE = 1e-2


@dataclass(frozen=True)
class Embedded:
    """One clip's vectors.

    Attributes:
        id, part: clip and ``grid``, ``words`` or ``wild``.
        mouth, speech: ``[T, D]``.
        spoken: ``[T]``.
        reach: frames that a mouth window sees before and behind its middle one.
    """

    id: str
    part: str
    mouth: Float
    speech: Float
    spoken: Bool
    reach: int

    def own(self, calibration: Calibration | None = None) -> float:
        """The clip's own offset, 0 where none is told."""
        found = find_offset(similarities(self.mouth, self.speech), self.spoken, calibration)
        return 0.0 if found.abstained else found.frames


def samples(clips: Sequence[Embedded], calibration: Calibration, seed: int = 0, count: int = 6) -> tuple[Float, Bool]:
    """Features ``[N, 4]`` of windows of all lengths, and whether each told the planted offset.

    A quarter of the windows have another clip's sound: no offset is right there.
    """
    rng = np.random.default_rng(seed)
    rows: list[Float] = []
    right: list[bool] = []
    for place, clip in enumerate(clips):
        own = clip.own(calibration)
        other = clips[(place + 1 + int(rng.integers(max(1, len(clips) - 1)))) % len(clips)]
        frames = min(len(clip.mouth), len(other.speech))
        for seconds in LENGTHS_S:
            pairs = (
                (clip.mouth, clip.speech, clip.spoken, own, count, True),
                (clip.mouth[:frames], other.speech[:frames], other.spoken[:frames], 0.0, max(1, count // 3), False),
            )
            for mouth, speech, spoken, at, number, true in pairs:
                if not true and other is clip:
                    continue
                for late, found in inner_windows(
                    mouth, speech, spoken, at, rng, number, clip.reach, calibration, seconds
                ):
                    rows.append(features(found.evidence, found.curve, found.heard))
                    right.append(true and is_right(late, found, at))
    return np.array(rows, np.float32).reshape(len(rows), -1), np.array(right, bool)


def fit(rows: Float, right: Bool, steepness: float) -> Calibration:
    """Newton's method on the ridge-regularised log-likelihood.

    Raises:
        ValueError: no rows.
    """
    if not len(rows):
        raise ValueError("nothing to calibrate on: no clip is long enough")
    inputs = np.column_stack([rows, np.ones(len(rows))]).astype(np.float64)
    weights = np.zeros(inputs.shape[1])
    penalty = np.diag([*([RIDGE] * (len(weights) - 1)), 1e-9]) * len(rows)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (right - chance) - penalty @ weights
        bend = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + penalty + 1e-9 * np.eye(len(weights))
        change = np.linalg.solve(bend, slope)
        weights += change
        if np.abs(change).max() < 1e-8:
            break
    return Calibration(steepness, tuple(float(value) for value in weights))


def reliability(chances: Float, right: Bool, bins: int = 10) -> list[dict[str, float]]:
    """Per bin of predicted chance: how many, mean chance, share that was right; empty bins are left out."""
    place = np.minimum((chances * bins).astype(int), bins - 1)
    return [
        {
            "count": float((place == one).sum()),
            "told": float(chances[place == one].mean()),
            "right": float(right[place == one].mean()),
        }
        for one in range(bins)
        if (place == one).any()
    ]


def calibration_error(chances: Float, right: Bool, bins: int = 10) -> float:
    """Expected calibration error: mean distance of told chance and share of right ones, by bin."""
    rows = reliability(chances, right, bins)
    return float(sum(row["count"] * abs(row["told"] - row["right"]) for row in rows) / max(1, len(chances)))
