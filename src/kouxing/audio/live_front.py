"""The front for streams: its layers, taught to tell of what they heard so far what the front tells of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing.audio.front import FIELD, STEP, WIDTH, AnyFront
from kouxing.audio.level import Leveller
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

NAME = "front_live"
AT_ONCE = 100
"""Own frames given to the network in one call, so that an hour pushed at once does not fill the memory."""
OWN, VIDEO, FIRST = 5, 3, 3
"""Video frame k is told of at its own frame (OWN k + FIRST) / VIDEO, between whole ones by both."""
LOOK_AHEAD = max((OWN * k + FIRST + VIDEO - 1) // VIDEO * STEP + FIELD - k * SAMPLES_PER_FRAME for k in range(VIDEO))
"""Samples that a row waits for beyond the beginning of its video frame. All wait alike, so that they come evenly."""


class LiveFront(AnyFront):
    """That of streams."""

    name = NAME
    look_ahead_ms = 1000.0 * LOOK_AHEAD / SAMPLE_HZ
    frames_ahead = LOOK_AHEAD // SAMPLES_PER_FRAME - 1

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        super().__init__(threads, folder)
        size = self.card["dimensions"]
        self.state_shape = (size["layers"], 2, 1, size["past"], size["width"])

    def stream(self) -> LiveFrontStream:
        return LiveFrontStream(self)


class LiveFrontStream:
    """One speech being heard, in constant memory."""

    def __init__(self, front: LiveFront) -> None:
        self._front = front
        self._level = Leveller()
        self._samples = np.zeros(0, np.float32)
        self._state = np.zeros(front.state_shape, np.float32)
        # Own frames told of, from number ``_first`` on.
        self._told = np.zeros((0, WIDTH), np.float32)
        self._first = self._given = self._heard = 0

    def push(self, samples: Float) -> Float:
        """As ``HeardStream.push``."""
        # One number that is none would stay in the level and in the state for good.
        samples = np.nan_to_num(np.asarray(samples, np.float32), posinf=0, neginf=0)
        self._heard += len(samples)
        self._samples = np.concatenate([self._samples, self._level.push(samples)])
        last = (self._heard - LOOK_AHEAD) // SAMPLES_PER_FRAME + 1
        # Only when a row is due: fewer calls for the same.
        if last > self._given:
            self._run()
        return self._rows(last)

    def finish(self) -> Float:
        frames = -(-self._heard // SAMPLES_PER_FRAME)
        if frames > self._given:
            missing = np.zeros(max(0, needed(frames) - self._heard), np.float32)
            self._samples = np.concatenate([self._samples, self._level.push(missing)])
            self._run()
        return self._rows(frames)

    def _run(self) -> None:
        made = [self._told]
        while (count := min(AT_ONCE, (len(self._samples) - FIELD) // STEP + 1)) > 0:
            given = {"samples": self._samples[None, : (count - 1) * STEP + FIELD], "state": self._state}
            told, self._state = self._front.session.run(None, given)
            self._samples = self._samples[count * STEP :]
            made.append(told[0])
        self._told = np.concatenate(made)

    def _rows(self, last: int) -> Float:
        """Those that are not given yet, before video frame ``last``."""
        if last <= self._given:
            return np.zeros((0, WIDTH), np.float32)
        lower, upper, share = between(np.arange(self._given, last))
        own, other = self._told[lower - self._first], self._told[upper - self._first]
        self._given = last
        # What no later row asks for is forgotten.
        spare = int(between(np.array([last]))[0][0]) - self._first
        self._told, self._first = self._told[spare:], self._first + min(spare, len(self._told))
        return np.asarray(own + share[:, None] * (other - own), np.float32)


def between(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, Float]:
    """Own frames that tell of video frames ``rows [n]``: the lower, the upper and its share."""
    place = OWN * rows + FIRST
    lower, rest = place // VIDEO, place % VIDEO
    return lower, lower + (rest > 0), (rest / VIDEO).astype(np.float32)


def needed(frames: int) -> int:
    """Samples that must be heard before the last of so many video frames is told of."""
    return (frames - 1) * SAMPLES_PER_FRAME + LOOK_AHEAD
