"""How far what is heard counts for itself where a text stands beside it: speech in a quiet place needs no text."""

from __future__ import annotations

import numpy as np

from kouxing.audio.clearness import GROUPS
from kouxing.types import Float
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
        near = np.lib.stride_tricks.sliding_window_view(padded[first : first + AT_ONCE + 2 * AROUND], 2 * AROUND + 1)
        some = np.isfinite(near).any(1)
        found[first : first + len(near)][some] = np.nanpercentile(near[some], LOUD, axis=1)
    share = np.where(lost, 0.0, MOST * np.clip((found - UNCLEAR) / (CLEAR - UNCLEAR), 0, 1))
    edges = np.pad(share, SMOOTH // 2, mode="edge")
    return np.convolve(edges, np.full(SMOOTH, 1 / SMOOTH), "valid").astype(np.float32)
