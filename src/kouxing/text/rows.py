"""Mouth classes of mel frames -> what the text encoder of ``multimodal`` reads, a row a video frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kouxing.text.phones import MOUTHS
from kouxing.types import Float
from kouxing.units import MEL_HZ, MELS_PER_FRAME

WIDTH = len(MOUTHS) + 3
"""Shares of the classes in the frame; of the sound in its middle: how far it has come, how far it has to go, and how
long it is."""
LONG_S = 0.3
"""Times are squeezed into 0..1 around this."""


def text_rows(classes: NDArray[np.int64], frames: int) -> Float:
    """Mouth classes as the text encoder reads them.

    Args:
        classes: ``[M]`` places in ``phones.MOUTHS``, a hundred a second, or ``[K, M]``: several placements of a text,
            whose mean is given.
        frames: rest beyond the end of the classes.

    Returns:
        ``[frames, WIDTH] float32``.
    """
    if classes.ndim == 2:
        return np.asarray(np.mean([text_rows(one, frames) for one in classes], 0), np.float32)
    mels = np.zeros(frames * MELS_PER_FRAME, np.int64)
    mels[: min(len(classes), len(mels))] = classes[: len(mels)]
    rows = np.zeros((frames, WIDTH), np.float32)
    for place in range(len(MOUTHS)):
        rows[:, place] = (mels.reshape(frames, MELS_PER_FRAME) == place).mean(1)
    if frames:
        bounds = np.concatenate([[0], np.flatnonzero(np.diff(mels)) + 1, [len(mels)]])
        middle = np.arange(frames) * MELS_PER_FRAME + MELS_PER_FRAME // 2
        of = np.searchsorted(bounds, middle, "right") - 1
        since, left = (middle - bounds[of]) / MEL_HZ, (bounds[of + 1] - middle) / MEL_HZ
        times = np.stack([since, left, since + left], 1)
        rows[:, len(MOUTHS) :] = times / (times + LONG_S)
    return rows
