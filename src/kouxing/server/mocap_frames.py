"""What motion capture tells: frames of a face, bones of a body, and their recent history, whatever the device."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, ROTATIONS
from kouxing.export.vmc import Pose
from kouxing.types import Bool, Float
from kouxing.units import COEFFICIENT_HZ

KEPT = 2 * COEFFICIENT_HZ
"""Frames of history: two seconds."""
MOST_TURN = 4 * np.pi
"""Radians: trackers may count turns; what tells more is told in degrees, or broken."""
BODY_FRESH_S = 0.5
"""Bones that were not told again for so long are no longer passed on; the avatar's own pose is back."""


@dataclass(frozen=True)
class Frame:
    """One captured face.

    Attributes:
        time_s: when it came, by ``time.monotonic``.
        values: ``[52] float32``, 0..1, columns as ``arkit.COEFFICIENTS``.
        rotations: ``[9] float32`` radians as ``arkit.ROTATIONS``, or None where the device tells none. Signs are Live
            Link's: yaw grows to the person's right, pitch downwards.
        known: ``[52] bool``: coefficients that the device tells at all; None: all of them.
    """

    time_s: float
    values: Float
    rotations: Float | None = None
    known: Bool | None = None

    def __post_init__(self) -> None:
        if self.values.shape != (len(COEFFICIENTS),):
            raise ValueError(f"values must be [{len(COEFFICIENTS)}], got {self.values.shape}")
        if not (np.isfinite(self.values).all() and self.values.min() >= 0 and self.values.max() <= 1):
            raise ValueError("values must be finite and within 0..1")
        turns = self.rotations
        if turns is not None and (turns.shape != (len(ROTATIONS),) or not np.isfinite(turns).all()):
            raise ValueError(f"rotations must be [{len(ROTATIONS)}] and finite")


@dataclass(frozen=True)
class Body:
    """Bones by Unity's names, each in its parent, and where the avatar stands (None: not told)."""

    bones: Mapping[str, Pose]
    root: Pose | None = None


NO_BODY = Body({})


@dataclass(frozen=True)
class Seen:
    """What was captured at some moments.

    Attributes:
        values: ``[n, 52]``. known: ``[52] bool``.
        rotations: ``[n, 9]`` or None.
        age_s: ``[n]``: time since the last frame before each moment; at most 0 where it lies between two.
    """

    values: Float
    known: Bool
    rotations: Float | None
    age_s: NDArray[np.float64]


class Capture:
    """The recent frames of one source; filled by one thread, read by others."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def push(self, frame: Frame) -> None:
        """Add the newest frame; one that is not newer than the last is dropped."""
        with self._lock:
            if not self._frames or frame.time_s > self._frames[-1].time_s:
                self._frames.append(frame)

    def latest(self) -> Frame | None:
        """The newest frame, of whatever age."""
        with self._lock:
            return self._frames[-1] if self._frames else None

    def clear(self) -> None:
        """Forget everything, as when a terminal turns its camera off."""
        with self._lock:
            self._frames.clear()

    def at(self, times_s: NDArray[np.float64]) -> Seen | None:
        """The face at some moments, linear between frames; after the last frame it is held, and its age told.

        Args:
            times_s: ``[n]``, by the clock of ``Frame.time_s``.

        Returns:
            None where nothing ever came.
        """
        with self._lock:
            frames = list(self._frames)
        if not frames:
            return None
        stamps = [frame.time_s for frame in frames]
        values = np.empty((len(times_s), len(COEFFICIENTS)), np.float32)
        turns = np.empty((len(times_s), len(ROTATIONS)), np.float32)
        told = all(frame.rotations is not None for frame in frames[-2:])
        for row, moment in enumerate(times_s):
            after = bisect_right(stamps, moment)
            low, high = frames[max(after - 1, 0)], frames[min(after, len(frames) - 1)]
            gap = high.time_s - low.time_s
            share = np.float32((moment - low.time_s) / gap) if gap > 0 else np.float32(0)
            values[row] = low.values + share * (high.values - low.values)
            if told and low.rotations is not None and high.rotations is not None:
                turns[row] = low.rotations + share * shortest(high.rotations - low.rotations)
            elif told:
                turns[row] = frames[-1].rotations
        known = frames[-1].known
        return Seen(
            values,
            np.ones(len(COEFFICIENTS), bool) if known is None else known,
            turns if told else None,
            np.asarray(times_s - stamps[-1], np.float64),
        )


def shortest(angles: Float) -> Float:
    """The same turns the short way round; those within half a turn as they are."""
    there = np.where(np.abs(angles) <= np.pi, angles, (angles + np.pi) % (2 * np.pi) - np.pi)
    return np.asarray(there, np.float32)
