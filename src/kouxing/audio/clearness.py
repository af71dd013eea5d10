"""How well a sound can be heard, frame by frame: speech over what lies under it, and how sure the phone network is."""

from __future__ import annotations

import numpy as np

from kouxing.audio.features import SILENT_MEL
from kouxing.types import Float
from kouxing.units import FRAME_HZ, MEL_BANDS, MELS_PER_FRAME

GROUPS = 4
WIDTH = GROUPS + 2
"""Level over the floor in each group of bands; sureness; share of the frame without any sound."""
AROUND_S = 1.5
"""The floor is looked for so far to either side."""
FLOOR = 0.1
"""Share of the moments around that lie under the floor."""
NEARLY = 0.1
"""What a codec may leave above digital silence, in log-mel."""
AT_ONCE = 5000


def clearness(mel: Float, log_probs: Float) -> Float:
    """``[T, WIDTH] float32`` of T video frames.

    The floor is the level that sound falls to between syllables (Martin 2001, minimum statistics): in a quiet room far
    below speech, in noise close under it. The share of the log probabilities' entropy that is missing says how surely
    sounds are told apart.

    Args:
        mel: ``[4T, 80]`` log-mel.
        log_probs: ``[4T, classes]`` of the phone network.
    """
    frames = len(mel) // MELS_PER_FRAME
    gone = (mel.max(1) < SILENT_MEL + NEARLY)[: frames * MELS_PER_FRAME].reshape(frames, MELS_PER_FRAME).mean(1)
    level = mel[: frames * MELS_PER_FRAME].reshape(frames, MELS_PER_FRAME, GROUPS, MEL_BANDS // GROUPS).mean((1, 3))
    probs = np.exp(log_probs[: frames * MELS_PER_FRAME])
    entropy = -(probs * log_probs[: len(probs)]).sum(1) / np.log(log_probs.shape[1])
    sure = 1 - entropy.reshape(frames, MELS_PER_FRAME).mean(1)
    return np.column_stack([level - _floor(level, gone > 0), sure, gone]).astype(np.float32)


def _floor(level: Float, gone: Float) -> Float:
    """What each group falls to around each frame, ``[T, GROUPS]``; where there is no sound around, its own level."""
    reach = round(AROUND_S * FRAME_HZ)
    known = np.where(gone[:, None], np.inf, level)
    padded = np.pad(known, ((reach, reach), (0, 0)), constant_values=np.inf)
    made = np.empty_like(level)
    for first in range(0, len(level), AT_ONCE):
        part = padded[first : first + AT_ONCE + 2 * reach]
        near = np.sort(np.lib.stride_tricks.sliding_window_view(part, 2 * reach + 1, axis=0), axis=-1)
        place = (FLOOR * np.isfinite(near).sum(-1, keepdims=True)).astype(int)
        found = np.take_along_axis(near, place, -1)[..., 0]
        own = level[first : first + AT_ONCE]
        made[first : first + AT_ONCE] = np.where(np.isfinite(found), found, own)
    return made
