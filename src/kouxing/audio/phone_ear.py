"""The phone network in use: what the front hears in; log probabilities of mouth classes, and its trunk, out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing import weights
from kouxing.audio.encoder import around, rows_per_frame, same_front
from kouxing.audio.front import AnyFront
from kouxing.errors import WeightError
from kouxing.types import Float
from kouxing.units import MELS_PER_FRAME

NAME = "multimodal_ear"
AT_ONCE = 500
"""Video frames given to the network in one call."""

SPOKEN = 15
"""Mouth classes but rest, which is none of them."""
SURE = 6.0
"""What a class is that is surely said: about as large as mouth geometry, so that painters learn from both alike."""


def spoken(log_probs: Float) -> Float:
    """How likely each class but rest is said in a video frame, 0..``SURE``: ``[4T, classes]`` -> ``[T, SPOKEN]``."""
    likely = np.exp(log_probs).reshape(-1, MELS_PER_FRAME, log_probs.shape[1]).mean(1)
    return np.asarray(SURE * likely[:, 1:], np.float32)


def placed(classes: NDArray[np.int64], frames: int) -> Float:
    """As ``spoken``, of classes ``[M]`` or ``[K, M]`` (placements) that a text tells, a hundred a second."""
    several = np.atleast_2d(classes)[:, : frames * MELS_PER_FRAME]
    several = np.pad(several, ((0, 0), (0, frames * MELS_PER_FRAME - several.shape[1])))
    likely = (several[..., None] == np.arange(1, 1 + SPOKEN)).mean(0, dtype=np.float32)
    return np.asarray(SURE * likely.reshape(frames, MELS_PER_FRAME, SPOKEN).mean(1), np.float32)


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

    def stream(self) -> PhoneStream:
        """A stream at its beginning."""
        return PhoneStream(self)

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


class PhoneStream:
    """One speech being heard: what ``spoken`` tells of it, some frames (the look-ahead) after the sound."""

    def __init__(self, ear: PhoneEar) -> None:
        self._ear, size = ear, ear.dimensions
        self._before, self._after = around(size)
        self._rows = np.zeros((self._before, size["bands"]), np.float32)
        self._state = np.zeros((size["layers"], 1, size["hidden"]), np.float32)
        self._given = 0

    def push(self, rows: Float) -> Float:
        """Take ``[m, WIDTH]`` rows of the front, one a video frame; give the ``[n, SPOKEN]`` that they complete."""
        self._rows = np.concatenate([self._rows, rows])
        frames = len(self._rows) - self._before - self._after
        if frames <= 0:
            return np.zeros((0, SPOKEN), np.float32)
        given = {"heard": self._rows[None].astype(np.float32), "state": self._state}
        log_probs, _, self._state = self._ear.session.run(None, given)
        self._rows = self._rows[frames:]
        self._given += frames
        return spoken(log_probs[0])

    def finish(self, rows: Float, frames: int) -> Float:
        """The rest, ``[n, SPOKEN]``: after the last ``rows`` all is quiet; ``frames`` in all."""
        missing = frames - self._given + self._before + self._after - len(self._rows) - len(rows)
        return self.push(np.pad(rows, ((0, max(0, missing)), (0, 0))))
