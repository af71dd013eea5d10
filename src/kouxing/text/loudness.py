"""How loudness tells pauses from speech: what the aligner knows beside the phones that are heard."""

from __future__ import annotations

import numpy as np

from kouxing.text.phones import REST
from kouxing.types import Bool, Float

LOUD, LOUD_FROM = 8.0, 0.25
"""Nats by which a pause is unlikelier in a mel frame as loud as speech on the whole, over one as loud as the quietest;
and the share of that way below which nothing is taken off. Strange voices are held for pauses too often."""
CLEAR_RISE = 0.7
"""Log-mel by which speech is louder than the quietest moments where a single frame's loudness tells much. In noise it
tells by chance; there the mean of many frames still tells."""
AROUND, HALFWAY, MOST = 21, 0.1, 3.0
"""Mel frames of that mean; the share of the way from pauses to speech from which on it speaks against a pause; and the
nats that it counts at most. Chosen on GRID's sentences and on labelled recordings, in noise at 5, 0 and -5 dB."""
LEAST_SPREAD = 1e-3
"""Of the loudness of pauses, in squared log-mel."""


def against_pause(log_probs: Float, loud: Float, lost: Bool) -> Float:
    """Nats ``[M]`` that speak against a pause in each mel frame; below 0 where it is as quiet as pauses.

    Args:
        log_probs: ``[M, classes]`` of each mel frame, from which pauses are known roughly.
        loud: ``[M]`` mean log-mel of each.
        lost: ``[M]``: where the sound is gone, nothing is told.
    """
    if lost.all():
        return np.zeros(len(loud), np.float32)
    paused = np.where(lost, 0, np.exp(log_probs[:, REST]) + 1e-3)
    usual = np.average(loud, weights=np.where(lost, 0, 1 + 2e-3 - paused))
    quietest = np.percentile(loud[~lost], 5)
    if usual - quietest >= CLEAR_RISE:
        share = (loud - quietest) / max(usual - quietest, 1.0)
        return np.asarray(LOUD * np.clip(share - LOUD_FROM, 0, 1), np.float32)
    pause = np.average(loud, weights=paused)
    rise, spread = usual - pause, np.average((loud - pause) ** 2, weights=paused)
    # The likelihood ratio of two levels in the same noise, were its frames independent.
    nats = max(rise, 0.0) / max(spread, LEAST_SPREAD) * (_mean(loud, ~lost) - pause - HALFWAY * rise)
    return np.where(lost, 0, np.clip(nats, -MOST, MOST)).astype(np.float32)


def _mean(loud: Float, known: Bool) -> Float:
    """Mean over ``AROUND`` mel frames, of those that are known."""
    around = np.ones(min(AROUND, len(loud)))
    heard = np.convolve(np.where(known, loud, 0), around, "same")
    return np.asarray(heard / np.maximum(np.convolve(known, around, "same"), 1), np.float64)
