"""By how many frames a clip's sound is late, out of the similarities of its mouths with its speech.

A positive offset means that the sound is late: what belongs to picture frame t is heard at frame t + offset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

REACH = 15
"""Frames (600 ms) both ways within which an offset is looked for."""
FEWEST = 10
"""Mouths that must be compared, spoken ones, before an offset is told."""
APART = 3
"""Frames from which on a lag counts as another one than the best."""


@dataclass(frozen=True)
class Calibration:
    """From what a curve looks like to the chance that its offset is right within a frame; fitted on held-out clips.

    Attributes:
        steepness: how many units of log-odds a unit of cosine is worth (the softmax over lags of a row).
        weights: of ``features``, the constant last.
    """

    steepness: float = 10.0
    weights: tuple[float, ...] = ()

    @staticmethod
    def of(told: dict) -> Calibration:
        """From a weight card's ``dimensions["calibration"]``."""
        return Calibration(float(told["steepness"]), tuple(float(value) for value in told["weights"]))

    def as_dict(self) -> dict[str, float | list[float]]:
        return {"steepness": self.steepness, "weights": list(self.weights)}


@dataclass(frozen=True)
class Offset:
    """What the similarities of a clip, or of a part of it, say.

    Attributes:
        frames: by how many 25-fps frames the sound is late, between frames by interpolation; NaN where abstained.
        confidence: LSE-C, median minus minimum of ``curve``.
        distance: LSE-D, minimum of ``curve``.
        curve: ``[2 * reach + 1]`` Euclidean distance of the unit vectors at each lag, averaged over time.
        evidence: ``[2 * reach + 1]`` log-odds of each lag, by which the offset is chosen; the best is 0.
        probability: chance that the offset is right within a frame; NaN without calibration, 0 where abstained.
        rows: mouths that were compared.
        abstained: why no offset is told; empty where one is.
        heard: those of ``rows`` in which somebody speaks, which the chance goes by.
    """

    frames: float
    confidence: float
    distance: float
    curve: Float
    evidence: Float
    probability: float
    rows: int
    abstained: str = ""
    heard: int = 0

    @property
    def ms(self) -> float:
        """The offset in milliseconds."""
        return self.frames * 1000 / FRAME_HZ


def similarities(mouth: Float, speech: Float, reach: int = REACH) -> Float:
    """Cosines of each mouth with the speech around it.

    Args:
        mouth: ``[T, D]`` unit rows; rows of NaN stand for windows that saw no real frames, or no face.
        speech: ``[T, D]``, likewise.
        reach: farthest lag.

    Returns:
        ``[T, 2 * reach + 1] float32``: column k is the mouth at t with the speech at t + k - reach; NaN where either
        is missing.
    """
    frames = len(mouth)
    if mouth.ndim != 2 or mouth.shape[1:] != speech.shape[1:]:
        raise ValueError(f"mouth and speech must be [T, D], got {mouth.shape} and {speech.shape}")
    result = np.full((frames, 2 * reach + 1), np.nan, np.float32)
    for column, lag in enumerate(range(-reach, reach + 1)):
        first, last = max(0, -lag), min(frames, len(speech) - lag)
        if first < last:
            result[first:last, column] = np.einsum("td,td->t", mouth[first:last], speech[first + lag : last + lag])
    return result


def alike(mouth: Float, speech: Float, rows: int) -> Float:
    """How well windows' mouths and speech belong together: their mean cosine and, beside it, that of how both move.

    How somebody looks and sounds stays the same in a window: without its mean each side tells what changes, which
    is what sync is about, and strangers' faces count less. Nothing outside of a window is known to it.

    Args:
        mouth, speech: ``[T, D]`` unit rows of the same moments.
        rows: moments of a window.

    Returns:
        ``[T - rows + 1]``, -2..2 (a single moment's cosine alone, -1..1); NaN where a row of a window is NaN.
    """
    if len(mouth) < rows:
        return np.zeros(0, np.float32)
    told = _windows((mouth * speech).sum(1), rows).mean(-1)
    if rows > 1:
        seen, heard = _windows(mouth, rows).mean(-1), _windows(speech, rows).mean(-1)
        length = np.sqrt(_spread(mouth, seen, rows) * _spread(speech, heard, rows))
        told = told + (told - (seen * heard).sum(1)) / np.maximum(length, 1e-6)
    return np.asarray(told, np.float32)


def _spread(side: Float, means: Float, rows: int) -> Float:
    """Mean square distance of windows' rows to their means."""
    return np.maximum(_windows((side**2).sum(1), rows).mean(-1) - (means**2).sum(1), 0.0)


def _windows(values: Float, rows: int) -> Float:
    return np.lib.stride_tricks.sliding_window_view(np.asarray(values, np.float64), rows, axis=0)


def find_offset(sims: Float, spoken: Bool | None = None, calibration: Calibration | None = None) -> Offset:
    """Offset of a clip, or of a part of it.

    Args:
        sims: ``[T, 2 * reach + 1]`` from ``similarities``.
        spoken: ``[T]``, frames in which the sound is not silent; None: all. Where hardly anybody speaks no offset is
            told.
        calibration: of the discriminator that the similarities are from.

    Returns:
        The offset; ``abstained`` says why where there is none.
    """
    calibration = calibration or Calibration()
    lags = sims.shape[1]
    seen = np.isfinite(sims)
    rows = int((seen.sum(1) > lags // 2).sum())
    counts = seen.sum(0)
    empty = np.full(lags, np.nan, np.float32)
    if rows == 0 or (counts == 0).any():
        return Offset(math.nan, math.nan, math.nan, empty, empty, 0.0, rows, "no face, or too short")
    away = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * np.nan_to_num(sims))) * seen
    curve = (away.sum(0) / counts).astype(np.float32)
    evidence = lag_evidence(sims, calibration.steepness)
    best = int(evidence.argmax())
    frames = best - lags // 2 + _between(evidence, best)
    confidence, distance = float(np.median(curve) - curve.min()), float(curve.min())
    heard = rows if spoken is None else int((spoken[: len(sims)] & seen.any(1)).sum())
    if heard < FEWEST:
        return Offset(math.nan, confidence, distance, curve, evidence, 0.0, rows, "hardly anybody speaks")
    chance = _chance(features(evidence, curve, heard), calibration.weights)
    return Offset(float(frames), confidence, distance, curve, evidence, chance, rows, heard=heard)


def lag_evidence(sims: Float, steepness: float) -> Float:
    """Log-odds of every lag, summed over time.

    Args:
        sims: ``[T, 2 * reach + 1]``.
        steepness: logits per unit of cosine.

    Returns:
        ``[2 * reach + 1] float32``, the largest 0.
    """
    told = votes(sims, steepness)
    counts = np.isfinite(sims).sum(0)
    # Lags that lie outside for part of the clip have fewer votes: what they lack counts as those of a middling lag.
    middling = np.median(told.sum(0) / np.maximum(counts, 1))
    total = told.sum(0) + (counts.max(initial=0) - counts) * middling
    return np.asarray(total - total.max(), np.float32)


def votes(sims: Float, steepness: float) -> Float:
    """Log-odds of every pair against those within reach of it.

    Each mouth votes by the softmax of its similarities over lags, each moment of speech likewise: one that resembles
    everything, or nothing, has nothing to say. Plain means of distances lack that.

    Args:
        sims, steepness: as for ``lag_evidence``.

    Returns:
        ``[T, 2 * reach + 1] float32``; 0 where there is nothing to compare.
    """
    by_mouth = _votes(sims, steepness)
    by_speech = _slanted(_votes(_slanted(sims, -1), steepness), 1)
    return (by_mouth + by_speech) / 2


def _votes(sims: Float, steepness: float) -> Float:
    """Log-softmax of each row above its even share; 0 where there is nothing to compare."""
    seen = np.isfinite(sims)
    count = seen.sum(1, keepdims=True)
    logits = np.where(seen, np.nan_to_num(sims) * steepness, -np.inf)
    top = np.where(count > 0, logits.max(1, keepdims=True, initial=-1e9), 0.0)
    total = np.log(np.maximum(np.exp(logits - top).sum(1, keepdims=True), 1e-30)) + top
    votes = np.where(seen, np.nan_to_num(sims) * steepness - total + np.log(np.maximum(count, 1)), 0.0)
    return np.asarray(votes, np.float32)


def _slanted(sims: Float, way: int) -> Float:
    """Rows by mouth -> rows by speech (``way`` -1) and back (1): entry (t, lag) moves to (t + lag, lag)."""
    lags = sims.shape[1]
    reach = lags // 2
    result = np.full((len(sims) + (2 * reach if way < 0 else -2 * reach), lags), np.nan, np.float32)
    for column in range(lags):
        # Speech row t + lag, counted from -reach on.
        if way < 0:
            result[column : column + len(sims), column] = sims[:, column]
        else:
            result[:, column] = sims[column : column + len(result), column]
    return result


def features(evidence: Float, curve: Float, heard: int) -> Float:
    """What the chance of an offset is told by: ``[4] float32``.

    Lead in log-odds of the best lag over all that are not beside it, the same per spoken frame, confidence (LSE-C) and
    the length.
    """
    best = int(evidence.argmax())
    far = np.abs(np.arange(len(evidence)) - best) >= APART
    lead = float(evidence[best] - evidence[far].max()) if far.any() else 0.0
    return np.array(
        [
            math.log1p(max(lead, 0.0)),
            lead / max(heard, 1),
            float(np.median(curve) - curve.min()) * math.sqrt(max(heard, 1)),
            math.log(max(heard, 1)),
        ],
        np.float32,
    )


def _chance(told: Float, weights: Sequence[float]) -> float:
    if not weights:
        return math.nan
    logit = float(np.dot(told, weights[:-1]) + weights[-1])
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))


def _between(evidence: Float, best: int) -> float:
    """Where between frames a parabola through the best lag and its neighbours peaks, -0.5..0.5."""
    if not 0 < best < len(evidence) - 1:
        return 0.0
    left, middle, right = (float(value) for value in evidence[best - 1 : best + 2])
    bend = left - 2 * middle + right
    return max(-0.5, min(0.5, 0.5 * (left - right) / bend)) if bend < -1e-9 else 0.0


def drift(
    sims: Float,
    window: int = 2 * FRAME_HZ,
    step: int = FRAME_HZ // 2,
    spoken: Bool | None = None,
    calibration: Calibration | None = None,
) -> tuple[Float, list[Offset]]:
    """Offsets over time, for drift and cuts.

    Args:
        sims: ``[T, 2 * reach + 1]``.
        window: frames each offset is found in.
        step: frames between them.
        spoken, calibration: as for ``find_offset``.

    Returns:
        The windows' middle frames ``[N] float32``, and their offsets. A clip shorter than a window is one window.
    """
    frames = len(sims)
    firsts = list(range(0, max(1, frames - window + 1), max(1, step)))
    middles, found = [], []
    for first in firsts:
        last = min(frames, first + window)
        part = None if spoken is None else spoken[first:last]
        found.append(find_offset(sims[first:last], part, calibration))
        middles.append((first + last - 1) / 2)
    return np.array(middles, np.float32), found
