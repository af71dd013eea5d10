"""The phone network in use: what the front hears in; log probabilities of mouth classes, and its trunk, out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.audio.encoder import around, rows_per_frame, same_front
from kouxing.audio.front import AnyFront
from kouxing.errors import WeightError
from kouxing.types import Float

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
        front: what it hears through.
        threads: CPU threads; by default those of ``weights.session``.
        folder: where the weights lie; by default where ``weights.session`` looks.

    Raises:
        WeightError: the weights are missing or damaged, or were trained behind another front.
    """

    def __init__(self, front: AnyFront, threads: int | None = None, folder: Path | None = None) -> None:
        self.session, self.card = weights.session(NAME, threads=threads, folder=folder)
        self.dimensions: dict[str, Any] = self.card["dimensions"]["ear"]
        if rows_per_frame(self.dimensions) != 1:
            raise WeightError(f"`{NAME}` hears log-mel, as it did in an older kouxing; train it anew")
        same_front(front, self.card.get("front"))

    def hear(self, rows: Float) -> HeardPhones:
        """Listen to what the front heard of T video frames, ``[T, WIDTH]``; all is quiet around.

        Raises:
            ValueError: there are none.
        """
        size = self.dimensions
        whole = np.pad(rows, (around(size), (0, 0))).astype(np.float32)
        state = np.zeros((size["layers"], 1, size["hidden"]), np.float32)
        told: list[tuple[Float, Float]] = []
        for first in range(0, len(rows), AT_ONCE):
            part = whole[first : min(len(rows), first + AT_ONCE) + sum(around(size))]
            log_probs, trunk, state = self.session.run(None, {"heard": part[None], "state": state})
            told.append((log_probs[0], trunk[0]))
        if not told:
            raise ValueError("nothing to hear: rows must be at least 1")
        log_probs, trunk = (np.concatenate(rows) for rows in zip(*told, strict=True))
        return HeardPhones(log_probs, trunk)
