"""How far what is heard counts for itself where a text stands beside it: speech in a quiet place needs no text."""

from __future__ import annotations

import numpy as np

from kouxing.audio.clearness import GROUPS
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

UNCLEAR, CLEAR = 0.1, 0.3
"""Log-mel by which speech rises over the floor: at 0 dB about 0.15, in recordings of all kinds 0.8 to 1.8."""
MOST = 2 / 3
"""What is told without the text counts so much, at the most: together both err less than either. All three by twelve
strangers' clips, clean and from 15 to -5 dB (docs/log.md)."""
AROUND, LOUD = 2 * FRAME_HZ, 75
"""Video frames to either side that tell how clear a place is, and the percentile of their levels: speech, no pauses."""
SMOOTH = 5
"""Video frames over which the share changes."""
AT_ONCE = 5000
FOLLOWS = 0.3
"""Lips that follow the sound less than this are of other words: 18 clips of ``val`` have .39 and more with their own
sound, four in five of 42 pairs of 3.5 s and longer have less with another one's."""
MOST_LAG, FEWEST_FRAMES, STILL = 4, 50, 1e-4
"""Frames between sound and picture that are allowed for; fewer frames tell nothing, nor do lips that stand still."""


def heard_share(clear: Float) -> Float:
    """Share ``[T]``, 0..``MOST``, of what is told without the text; 0 where the sound is lost.

    Args:
        clear: ``[T, 6]`` of ``audio.clearness``.
    """
    lost = clear[:, -1] > 0
    level = np.where(lost, np.nan, clear[:, :GROUPS].mean(1))
    padded = np.pad(level, AROUND, constant_values=np.nan)
    found = np.zeros(len(level))
    for first in range(0, len(level), AT_ONCE):
        part = padded[first : first + AT_ONCE + 2 * AROUND]
        # What is unknown is sorted behind all that is known.
        near = np.sort(np.lib.stride_tricks.sliding_window_view(part, 2 * AROUND + 1), axis=1)
        known = np.isfinite(near).sum(1)
        place = np.maximum(np.ceil(LOUD / 100 * known).astype(int) - 1, 0)
        found[first : first + len(near)] = np.where(known > 0, near[np.arange(len(near)), place], 0.0)
    share = MOST * np.clip((found - UNCLEAR) / (CLEAR - UNCLEAR), 0, 1)
    # It has faded out when a hole begins.
    near_lost = np.convolve(np.pad(lost.astype(float), SMOOTH // 2), np.ones(SMOOTH), "valid") > 0
    share[near_lost] = 0
    edges = np.pad(share, SMOOTH // 2, mode="edge")
    return np.convolve(edges, np.full(SMOOTH, 1 / SMOOTH), "valid").astype(np.float32)


def followed(seen: Float, heard: Float, known: Bool) -> float | None:
    """How well lips that are seen follow the sound: correlation of how far lips are apart, at the best of a few lags.

    Args:
        seen, heard: ``[T]`` by pictures alone and by sound alone.
        known: ``[T]``: there are both.

    Returns:
        -1..1; None where too little tells.
    """
    shown = np.where(known, seen, np.nan)
    found = []
    for lag in range(-MOST_LAG, MOST_LAG + 1):
        late, early = shown[max(lag, 0) :], heard[max(-lag, 0) :]
        pair = np.stack([one[: min(len(late), len(early))] for one in (late, early)])
        pair = pair[:, np.isfinite(pair).all(0)]
        if pair.shape[1] >= FEWEST_FRAMES and (pair.std(1) > STILL).all():
            found.append(float(np.corrcoef(pair)[0, 1]))
    return max(found, default=None)
