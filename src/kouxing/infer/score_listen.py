"""The sound's side of a score: unit vectors of the speech around any picture, made as they are asked for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from kouxing.audio.features import MelStream
from kouxing.audio.silence import frame_levels, silent_levels
from kouxing.face.offset import Calibration
from kouxing.infer.pipeline import ahead
from kouxing.infer.score_opinion import SHAPES, Ear, shapes
from kouxing.media.reader import read_sound
from kouxing.types import Bool, Bytes, Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME, SAMPLE_HZ, SAMPLES_PER_FRAME, exact

CHUNK = 256
"""Frames whose speech is embedded, or heard by the ear, at once."""

KEPT = 2048
"""Frames of speech kept behind the newest one asked for: faces are looked at in pieces of different lengths."""


class Judge(Protocol):
    """What ``infer.discriminator.Discriminator`` offers here."""

    @property
    def mouth_frames(self) -> int:
        """Pictures that a mouth window sees, odd."""
        ...

    @property
    def speech_mels(self) -> int:
        """Mel frames that a speech window sees, a multiple of 4."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """For ``face.offset.find_offset``."""
        ...

    def embed_mouths(self, pictures: Bytes) -> Float:
        """``[T, H, W] uint8`` -> ``[T, D] float32`` unit rows; NaN where a window leaves the input."""
        ...

    def embed_speech(self, mel: Float) -> Float:
        """``[4T, 80]`` -> ``[T, D] float32``, likewise."""
        ...


class Heard:
    """A sound's unit vectors, a row per frame of ``FRAME_HZ``.

    Args:
        chunks: ``[N] float32`` at ``SAMPLE_HZ``, from the first picture's time on.
        judge: makes the rows.
        ear: hears the mouth's shape, for ``shapes``.
    """

    def __init__(self, chunks: Iterator[Float], judge: Judge, ear: Ear | None = None) -> None:
        self._chunks, self._judge = chunks, judge
        self._hearing = None if ear is None else ear.stream()
        self._unheard: list[Float] = []
        self._shapes: list[Float] = []
        self._reach = exact(judge.speech_mels, MELS_PER_FRAME) // 2
        self._stream = MelStream()
        self._mel = np.zeros((0, MEL_BANDS), np.float32)
        self._mel_first = 0
        """Frame that ``_mel`` begins with."""
        self._rows = np.zeros((0, 0), np.float32)
        self._rows_first = 0
        self._levels: list[Float] = []
        self._rest = np.zeros(0, np.float32)
        self._ended = False

    @property
    def levels(self) -> Float:
        """``[T]`` dB of each frame so far (``audio.silence``)."""
        return np.concatenate(self._levels) if self._levels else np.zeros(0, np.float32)

    @property
    def silent(self) -> Bool:
        """``[T]``, frames so far in which nobody speaks."""
        return silent_levels(self.levels)

    @property
    def shapes(self) -> Float | None:
        """``[T, 2]``, the mouth as it is heard (``score_opinion.shapes``), all after ``finish``; None without ear."""
        if self._hearing is None:
            return None
        return np.concatenate(self._shapes) if self._shapes else np.zeros((0, SHAPES), np.float32)

    def rows(self, first: int, last: int) -> Float:
        """``[last - first, D]`` of frames ``first..last - 1``; NaN where there is no sound around them.

        Raises:
            ValueError: it was asked for long before and is gone.
        """
        while self._rows_first + len(self._rows) < last and not self._ended:
            self._grow()
        # Faces may end before the sound: rows that nobody can ask for any more go.
        gone = max(min(first - KEPT - self._rows_first, len(self._rows)), 0)
        self._rows, self._rows_first = self._rows[gone:], self._rows_first + gone
        result = np.full((last - first, self._rows.shape[1]), np.nan, np.float32)
        if first < self._rows_first and self._rows_first > self._reach:
            raise ValueError(f"speech from frame {first} is gone, what is left begins at {self._rows_first}")
        begin, end = max(first, self._rows_first), min(last, self._rows_first + len(self._rows))
        if end > begin:
            result[begin - first : end - first] = self._rows[begin - self._rows_first : end - self._rows_first]
        return result

    def finish(self) -> None:
        """Hear the rest, for its levels."""
        while not self._ended:
            self._grow()
            self._rows, self._rows_first = self._rows[-KEPT:], self._rows_first + max(len(self._rows) - KEPT, 0)

    def _grow(self) -> None:
        wanted = CHUNK + 2 * self._reach
        while len(self._mel) < wanted * MELS_PER_FRAME and not self._ended:
            samples = next(self._chunks, None)
            self._hear(samples)
            if samples is None:
                self._ended = True
                self._measure(np.zeros(0, np.float32), True)
                mel = self._stream.finish()
            else:
                self._measure(samples, False)
                mel = self._stream.push(samples)
            self._mel = np.concatenate([self._mel, mel])
        frames = len(self._mel) // MELS_PER_FRAME
        if frames < 2 * self._reach + 1:
            return
        made = self._judge.embed_speech(self._mel[: frames * MELS_PER_FRAME])
        inside = np.asarray(made[self._reach : frames - self._reach], np.float32)
        if not len(self._rows):
            self._rows, self._rows_first = inside, self._mel_first + self._reach
        else:
            self._rows = np.concatenate([self._rows, inside])
        used = frames - 2 * self._reach
        self._mel, self._mel_first = self._mel[used * MELS_PER_FRAME :], self._mel_first + used

    def _hear(self, samples: Float | None) -> None:
        """What the ear makes of more sound; None at its end. Decoded sound comes in pieces too small for a network."""
        if self._hearing is None:
            return
        if samples is not None:
            self._unheard.append(samples)
            if sum(map(len, self._unheard)) < CHUNK * SAMPLES_PER_FRAME:
                return
        made = [self._hearing.push(np.concatenate(self._unheard))] if self._unheard else []
        self._unheard = []
        made += [self._hearing.finish()] if samples is None else []
        self._shapes += [shapes(rows) for rows in made]

    def _measure(self, samples: Float, last: bool) -> None:
        held = np.concatenate([self._rest, samples])
        whole = len(held) if last else len(held) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        if whole:
            self._levels.append(frame_levels(held[:whole], SAMPLE_HZ))
        self._rest = held[whole:]


@contextmanager
def listening(path: Path, judge: Judge, ear: Ear | None = None) -> Generator[Heard, None, None]:
    """A file's sound, decoded in a thread of its own.

    Raises:
        MediaError: the file cannot be read; NoSoundError where it has no sound.
    """
    chunks = ahead(read_sound(path))
    try:
        yield Heard(chunks, judge, ear)
    finally:
        chunks.close()
