"""The phone network in use: samples in; log probabilities of mouth classes and what its trunk hears out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.audio.encoder import around
from kouxing.audio.features import SILENT_MEL, frame_mels
from kouxing.types import Float
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
    """

    log_probs: Float
    trunk: Float


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
        quiet = np.full((before + after, MEL_BANDS), SILENT_MEL, np.float32)
        whole = np.concatenate([quiet[:before], frame_mels(mel, frames), quiet[:after]])
        state = np.zeros((size["layers"], 1, size["hidden"]), np.float32)
        told: list[tuple[Float, Float]] = []
        for first in range(0, frames, AT_ONCE):
            last = min(frames, first + AT_ONCE)
            part = whole[first * MELS_PER_FRAME : last * MELS_PER_FRAME + before + after]
            log_probs, trunk, state = self.session.run(None, {"mel": part[None], "state": state})
            told.append((log_probs[0], trunk[0]))
        if not told:
            raise ValueError("nothing to hear: frames must be at least 1")
        return HeardPhones(*(np.concatenate(rows) for rows in zip(*told, strict=True)))
