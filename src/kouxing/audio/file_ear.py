"""What files are heard with that need not be followed live: the encoder behind the front beside that of log-mel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing.audio.encoder import FILE_NAME, NAME, SpeechEncoder, SpeechStream
from kouxing.audio.front import AnyFront
from kouxing.types import Float

NAMES = (FILE_NAME, NAME)
MEL_SHARE = 0.3
"""How much log-mel's counts: strangers are heard better through the front, other languages less well (docs/log.md)."""


class FileEar:
    """Loads both encoders once; any number of streams share them.

    Args:
        threads, folder: as for ``weights.session``.

    Raises:
        WeightError: weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self._encoders = [SpeechEncoder(threads, folder, name) for name in NAMES]

    @property
    def digest(self) -> str:
        """Of all weights that it hears with."""
        return " ".join(str(card["sha256"]) for card in (self.front.card, *(one.card for one in self._encoders)))

    def stream(self) -> FileEarStream:
        """A stream at its beginning."""
        width = self._encoders[0].dimensions["features"]
        return FileEarStream([encoder.stream() for encoder in self._encoders], width)

    def hear(self, samples: Float) -> Float:
        """``[N]`` samples at ``SAMPLE_HZ`` -> ``[ceil(N / SAMPLES_PER_FRAME), D] float32``, as a stream gives."""
        stream = self.stream()
        return np.concatenate([stream.push(samples), stream.finish()])

    @property
    def front(self) -> AnyFront:
        """What the first encoder hears through."""
        front = self._encoders[0].front
        assert front is not None
        return front

    def hear_rows(self, rows: Float, mel: Float) -> Float:
        """``[T, D]`` of what the front heard, ``[T, WIDTH]``, and log-mel ``[4T, 80]``: for who needs those as well."""
        return _mixed(*(encoder.hear_rows(one) for encoder, one in zip(self._encoders, (rows, mel), strict=True)))


class FileEarStream:
    """One speech being heard: features as of ``SpeechStream``, some seconds late."""

    def __init__(self, streams: list[SpeechStream], width: int) -> None:
        self._streams = streams
        self._waiting = [np.zeros((0, width), np.float32) for _ in streams]

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, D]`` features they complete."""
        return self._both([stream.push(samples) for stream in self._streams])

    def finish(self) -> Float:
        """The features still owed, ``[n, D]``: together with all before, one for every begun video frame."""
        return self._both([stream.finish() for stream in self._streams])

    @property
    def rows(self) -> Float:
        """What the front heard in the last ``push`` or ``finish``, ``[n, WIDTH]``."""
        return self._streams[0].rows

    def _both(self, told: list[Float]) -> Float:
        waiting = [np.concatenate(pair) for pair in zip(self._waiting, told, strict=True)]
        ready = min(map(len, waiting))
        self._waiting = [rows[ready:] for rows in waiting]
        return _mixed(*(rows[:ready] for rows in waiting))


def _mixed(front: Float, mel: Float) -> Float:
    return np.asarray((1 - MEL_SHARE) * front + MEL_SHARE * mel, np.float32)
