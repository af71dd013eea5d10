"""What painters are driven by: heard mouth geometry, and beside it how likely each mouth class is said.

Lip geometry alone does not tell where tongue and teeth are; which phone is said does (docs/log.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing.audio.file_ear import NAMES as FILE_NAMES
from kouxing.audio.file_ear import FileEar, FileEarStream
from kouxing.audio.front import AnyFront
from kouxing.audio.phone_ear import NAME as PHONES
from kouxing.audio.phone_ear import PhoneEar, PhoneStream, spoken
from kouxing.types import Float
from kouxing.units import SAMPLES_PER_FRAME

NAMES = (*FILE_NAMES, PHONES)


class PainterEar:
    """Loads its networks once; any number of streams share them.

    Args:
        threads, folder: as for ``weights.session``.

    Raises:
        WeightError: weights are missing, damaged, or of another front.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self._ear = FileEar(threads, folder)
        self._phones = PhoneEar(self._ear.front, threads, folder)

    @property
    def digest(self) -> str:
        """Of all weights that it hears with."""
        return f"{self._ear.digest} {self._phones.card['sha256']}"

    @property
    def front(self) -> AnyFront:
        """What it hears through."""
        return self._ear.front

    def stream(self) -> PainterEarStream:
        """A stream at its beginning."""
        return PainterEarStream(self._ear.stream(), self._phones.stream())

    def hear(self, samples: Float) -> Float:
        """``[N]`` samples at ``SAMPLE_HZ`` -> ``[ceil(N / SAMPLES_PER_FRAME), D] float32``, as a stream gives."""
        stream = self.stream()
        return np.concatenate([stream.push(samples), stream.finish()])

    def hear_rows(self, rows: Float, mel: Float) -> Float:
        """``[T, D]`` of what the front heard, ``[T, WIDTH]``, and log-mel ``[4T, 80]``: for who needs those as well."""
        return np.concatenate([self._ear.hear_rows(rows, mel), spoken(self._phones.hear(rows).log_probs)], 1)


class PainterEarStream:
    """One speech being heard: features as of ``FileEarStream``, each with its ``SPOKEN`` numbers behind it."""

    def __init__(self, shapes: FileEarStream, phones: PhoneStream) -> None:
        self._shapes, self._phones = shapes, phones
        self._waiting: list[Float] = [np.zeros((0, 0), np.float32)] * 2
        self._heard = 0

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, D]`` features they complete."""
        self._heard += len(samples)
        shapes = self._shapes.push(samples)
        return self._both(shapes, self._phones.push(self._shapes.rows))

    def finish(self) -> Float:
        """The features still owed, ``[n, D]``: together with all before, one for every begun video frame."""
        shapes = self._shapes.finish()
        frames = -(-self._heard // SAMPLES_PER_FRAME)
        return self._both(shapes, self._phones.finish(self._shapes.rows, frames))

    def _both(self, *told: Float) -> Float:
        self._waiting = [
            np.concatenate(pair) if len(pair[0]) else pair[1] for pair in zip(self._waiting, told, strict=True)
        ]
        ready = min(map(len, self._waiting))
        given = np.concatenate([rows[:ready] for rows in self._waiting], 1)
        self._waiting = [rows[ready:] for rows in self._waiting]
        return given
