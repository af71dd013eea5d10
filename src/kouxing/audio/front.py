"""The front: the first layers of a speech recogniser that others trained, which hear sounds as phones do, whoever says
them through whatever microphone. They stay as they are; our encoders learn mouths from what they tell.

They attend over whole windows, sound to come included: for files. Streams have their own (``audio.live_front``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from kouxing import weights
from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLES_PER_FRAME

NAME = "front"
WIDTH = 288
"""Numbers that it tells of a video frame, each of about mean 0 and spread 1 over the training footage."""
STEP, FIELD = 384, 895
"""Samples from one of its own frames to the next, and samples that one sees before attention widens that."""
HOP_FRAMES, MARGIN_FRAMES = 8 * FRAME_HZ, FRAME_HZ
"""Video frames that a window gives, and those heard beside them on either side: where windows meet, both know enough
of what was said."""


class HeardStream(Protocol):
    """One speech being heard."""

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, WIDTH]`` rows they complete."""
        ...

    def finish(self) -> Float:
        """The rows still owed, ``[n, WIDTH]``: with those before, one for every begun video frame."""
        ...


class AnyFront(ABC):
    """The front of files or that of streams (``audio.live_front``).

    Args:
        threads, folder: as for ``weights.session``.

    Attributes:
        name: of its weights.
        look_ahead_ms: sound that a row waits for beyond the beginning of its video frame, at the most.
        frames_ahead: whole video frames that are heard behind a row's own when it is given, at the least.

    Raises:
        WeightError: the weights are missing or damaged.
    """

    name: ClassVar[str]
    look_ahead_ms: ClassVar[float]
    frames_ahead: ClassVar[int]

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self.session, self.card = weights.session(self.name, threads=threads, folder=folder)

    @abstractmethod
    def stream(self) -> HeardStream:
        """A stream at its beginning."""

    def hear(self, samples: Float) -> Float:
        """``[N]`` samples at ``SAMPLE_HZ`` -> ``[ceil(N / SAMPLES_PER_FRAME), WIDTH] float32``, as a stream gives."""
        stream = self.stream()
        return np.concatenate([stream.push(samples), stream.finish()])


class Front(AnyFront):
    """That of files."""

    name = NAME
    look_ahead_ms = 1000.0 * (HOP_FRAMES + MARGIN_FRAMES) / FRAME_HZ
    frames_ahead = MARGIN_FRAMES

    def stream(self) -> FrontStream:
        return FrontStream(self)


class FrontStream:
    """One speech being heard, window after window: however it is cut into pieces, the windows are the same."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._held = np.zeros(0, np.float32)
        # Video frames: the first that is held, those given, and samples heard.
        self._first = self._given = self._heard = 0

    def push(self, samples: Float) -> Float:
        """As ``HeardStream.push``: the rows of the windows that are completed."""
        self._held = np.concatenate([self._held, np.asarray(samples, np.float32)])
        self._heard += len(samples)
        made = [np.zeros((0, WIDTH), np.float32)]
        while self._heard >= (self._given + HOP_FRAMES + MARGIN_FRAMES) * SAMPLES_PER_FRAME:
            made.append(self._window(self._given + HOP_FRAMES + MARGIN_FRAMES)[:HOP_FRAMES])
            self._given += HOP_FRAMES
            first = self._given - MARGIN_FRAMES
            self._held = self._held[(first - self._first) * SAMPLES_PER_FRAME :]
            self._first = first
        return np.concatenate(made)

    def finish(self) -> Float:
        frames = -(-self._heard // SAMPLES_PER_FRAME)
        if frames <= self._given:
            return np.zeros((0, WIDTH), np.float32)
        made = self._window(frames)
        self._given = frames
        return made

    def _window(self, last: int) -> Float:
        """Rows from the next that is owed to video frame ``last``, heard from the first that is held."""
        frames = last - self._first
        sound = self._held[: frames * SAMPLES_PER_FRAME]
        # Quiet before, so that its first frame stands in the middle of its step; behind, so that the last is told of.
        side = (FIELD - STEP) // 2
        missing = frames * SAMPLES_PER_FRAME - len(sound)
        sound = np.pad(sound, (side, missing + FIELD - side))
        told = self._front.session.run(None, {"samples": sound[None]})[0][0]
        return (pooled(len(told), frames) @ told)[self._given - self._first :]


def pooled(count: int, frames: int) -> Float:
    """Weights ``[frames, count]`` of its frames in video frames: triangles one video frame to each side."""
    ours = (np.arange(frames) + 0.5) * SAMPLES_PER_FRAME
    theirs = (np.arange(count) + 0.5) * STEP
    near = np.maximum(1 - np.abs(ours[:, None] - theirs) / SAMPLES_PER_FRAME, 0)
    return np.asarray(near / np.maximum(near.sum(1, keepdims=True), 1e-6), np.float32)
