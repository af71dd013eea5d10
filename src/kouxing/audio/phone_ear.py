"""The phone network in use: samples in; log probabilities of mouth classes and what its trunk hears out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.audio.encoder import around
from kouxing.audio.features import SILENT_MEL, frame_mels
from kouxing.types import Bool, Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

NAME = "multimodal_ear"
AT_ONCE = 500
"""Video frames given to the network in one call."""


@dataclass(frozen=True)
class HeardPhones:
    """What is heard of T video frames.

    Attributes:
        log_probs: ``[4T, classes] float32`` of ``text.phones.MOUTHS``, a hundred a second.
        trunk: ``[T, W] float32``.
        loud: ``[4T] float32``: mean log-mel of each mel frame.
    """

    log_probs: Float
    trunk: Float
    loud: Float


FADE = 12
"""Mel frames over which sound fades in and out of a hole."""


def faded(mel: Float, lost: Bool) -> Float:
    """Sound that fades into its holes and out of them, as the network knows it from speech; a cut sounds like a stop.

    Args:
        mel: ``[M, 80]``. lost: ``[M]``: where the sound is gone.
    """
    made, steps = mel.copy(), np.arange(len(mel))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        hole = slice(first, last)
        for place, away in ((first - 1, steps[hole] - first), (last, last - 1 - steps[hole])):
            if 0 <= place < len(mel):
                share = np.clip(1 - (away + 0.5) / FADE, 0, 1)[:, None]
                made[hole] = share * mel[place] + (1 - share) * made[hole]
    return np.asarray(made, np.float32)


class PhoneEar:
    """Loads the weights once.

    Args:
        threads: CPU threads; by default those of ``weights.session``.
        folder: where the weights lie; by default where ``weights.session`` looks.

    Raises:
        WeightError: the weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self.session, self.card = weights.session(NAME, threads=threads, folder=folder)
        self.dimensions: dict[str, Any] = self.card["dimensions"]["ear"]

    def hear(self, mel: Float, frames: int) -> HeardPhones:
        """Listen to the first ``frames`` video frames of ``mel [M, 80]``; silence beyond its end."""
        before, after = around(self.dimensions)
        size = self.dimensions
        sound = frame_mels(mel, frames)
        quiet = np.full((before + after, MEL_BANDS), SILENT_MEL, np.float32)
        whole = np.concatenate([quiet[:before], sound, quiet[:after]])
        state = np.zeros((size["layers"], 1, size["hidden"]), np.float32)
        told: list[tuple[Float, Float]] = []
        for first in range(0, frames, AT_ONCE):
            last = min(frames, first + AT_ONCE)
            part = whole[first * MELS_PER_FRAME : last * MELS_PER_FRAME + before + after]
            log_probs, trunk, state = self.session.run(None, {"mel": part[None], "state": state})
            told.append((log_probs[0], trunk[0]))
        if not told:
            raise ValueError("nothing to hear: frames must be at least 1")
        log_probs, trunk = (np.concatenate(rows) for rows in zip(*told, strict=True))
        return HeardPhones(log_probs, trunk, sound.mean(1))
