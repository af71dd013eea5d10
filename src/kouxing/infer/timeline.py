"""Which source picture an output frame shows, when, and which speech it says. Exact time: fractions and whole ticks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import OptionError
from kouxing.types import Float
from kouxing.units import FRAME_HZ, FRAME_S

Ticks = NDArray[np.int64]

LENGTHS = ("video", "speech", "loop")
"""How long the output lasts: as the video, as the speech, or as the speech with the video played to and fro."""

SELECTED = 11
"""Audio features around each frame (methods.md section 4, audio feature selector)."""

PICTURE_TIME_BASE = FRAME_S / 512
"""A still picture has no clock: 25 fps on the timescale that MP4 writers use for it."""


@dataclass(frozen=True)
class Timeline:
    """The output's frames in order.

    Attributes:
        source: ``[K] int64``: index of the source frame that output frame k shows.
        pts: ``[K] int64``: its time in units of ``time_base``, from 0, strictly increasing.
        time_base: seconds per unit.
        seconds: length of the output, exact; the last frame lasts until then.
    """

    source: Ticks
    pts: Ticks
    time_base: Fraction
    seconds: Fraction

    def __len__(self) -> int:
        return len(self.source)

    def time(self, frame: int) -> Fraction:
        """Presentation time of output frame ``frame`` in seconds, exact."""
        return int(self.pts[frame]) * self.time_base

    def segments(self, seconds: Fraction) -> list[tuple[int, int]]:
        """Cut the frames into runs of about ``seconds``: ``[(first, last + 1), ...]``, none empty, in order."""
        span = seconds / self.time_base
        number = np.array([floor(int(p) / span) for p in self.pts], np.int64)
        starts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist()]
        return list(zip(starts, [*starts[1:], len(self)], strict=True))


def last_ticks(pts: Ticks, time_base: Fraction, rate: Fraction | None, seconds: Fraction | None) -> int:
    """How long the last frame lasts, in units of ``time_base``: to the stated end, else one frame at ``rate``.

    An end that lies before the last frame, or further off than ten usual frames, is a damaged header and not used.
    """
    usual = ceil(1 / (rate * time_base)) if rate else 0
    if len(pts) > 1:
        usual = usual or int(np.median(np.diff(pts)))
    usual = max(usual, 1)
    if seconds is not None:
        rest = floor(seconds / time_base) - int(pts[-1])
        if 0 < rest <= 10 * usual:
            return rest
    return usual


def plan_picture(speech_seconds: Fraction) -> Timeline:
    """A still picture, shown at 25 fps for as long as the speech lasts."""
    frames = max(ceil(speech_seconds * FRAME_HZ), 1)
    step = int(FRAME_S / PICTURE_TIME_BASE)
    pts = np.arange(frames, dtype=np.int64) * step
    return Timeline(np.zeros(frames, np.int64), pts, PICTURE_TIME_BASE, max(speech_seconds, FRAME_S))


def plan(pts: Ticks, time_base: Fraction, last: int, speech_seconds: Fraction, length: str) -> Timeline:
    """Lay the source's frames out for the output.

    Args:
        pts: ``[N] int64`` times of the source's frames in units of ``time_base``, strictly increasing from 0.
        time_base: seconds per unit.
        last: units that the last frame lasts, at least 1.
        speech_seconds: length of the speech.
        length: one of ``LENGTHS``.

    Returns:
        The timeline; at least one frame. Every source frame keeps its own time; frames held or played backwards keep
        the source's frame lengths.

    Raises:
        OptionError: ``length`` is none of ``LENGTHS``.
    """
    if length not in LENGTHS:
        raise OptionError(f"--length {length}: choose one of {', '.join(LENGTHS)}")
    frames = np.arange(len(pts), dtype=np.int64)
    end = int(pts[-1]) + last
    if length == "video":
        return Timeline(frames, pts.copy(), time_base, end * time_base)
    stop = max(ceil(speech_seconds / time_base), 1)
    seconds = max(speech_seconds, time_base)
    if stop <= end:
        kept = int(np.searchsorted(pts, stop))
        return Timeline(frames[:kept], pts[:kept].copy(), time_base, seconds)
    source, times = _held(pts, last, stop) if length == "speech" else _to_and_fro(pts, last, stop)
    return Timeline(source, times, time_base, seconds)


def _held(pts: Ticks, last: int, stop: int) -> tuple[Ticks, Ticks]:
    """The last frame repeated until ``stop``, as often as frames came before: its mouth goes on speaking."""
    step = max(min(last, int(np.median(np.diff(pts)))), 1) if len(pts) > 1 else last
    more = np.arange(int(pts[-1]) + step, stop, step, dtype=np.int64)
    held = np.full(len(more), len(pts) - 1, np.int64)
    return np.concatenate([np.arange(len(pts)), held]), np.concatenate([pts, more])


def _to_and_fro(pts: Ticks, last: int, stop: int) -> tuple[Ticks, Ticks]:
    """0 1 2 3 2 1 0 1 ...: each frame with its own length, neither end shown twice."""
    lengths = np.append(np.diff(pts), last)
    forth = np.arange(len(pts), dtype=np.int64)
    cycle = np.concatenate([forth, forth[-2:0:-1]])
    rounds = stop // int(lengths[cycle].sum()) + 1
    source = np.tile(cycle, rounds)
    times = np.concatenate([[0], np.cumsum(lengths[source])[:-1]]).astype(np.int64)
    kept = int(np.searchsorted(times, stop))
    return source[:kept], times[:kept]


def feature_window(features: Float, time: Fraction, size: int = SELECTED, spacing: int = 1) -> Float:
    """The audio features around one moment of the output (methods.md section 4, audio feature selector).

    Args:
        features: ``[L, D] float32`` at 25 per second; row i belongs to time i / 25 s.
        time: the frame's presentation time in seconds; between two rows they are mixed linearly.
        size: features picked, odd.
        spacing: rows between two of them.

    Returns:
        ``[size, D] float32``. Before and after the speech there is silence: zeros.
    """
    place = time * FRAME_HZ
    base = floor(place)
    share = np.float32(place - base)
    rows = base + (np.arange(size) - size // 2) * spacing
    return (1 - share) * _rows(features, rows) + share * _rows(features, rows + 1)


def _rows(features: Float, rows: NDArray[np.int64]) -> Float:
    picked = np.zeros((len(rows), features.shape[1]), np.float32)
    inside = (rows >= 0) & (rows < len(features))
    picked[inside] = features[rows[inside]]
    return picked


def backward_runs(source: Ticks) -> list[tuple[int, int]]:
    """Split ``source`` into runs ``[(first, last + 1), ...]`` inside which it never falls, or only falls.

    A run that only falls is one that has to be decoded backwards.
    """
    if len(source) < 2:
        return [(0, 1)] * len(source)
    falls = np.diff(source) < 0
    # A step belongs to the run that it leads into; the turning point itself stays with the run before.
    marks = np.concatenate([falls[:1], falls])
    starts = [0, *(np.flatnonzero(np.diff(marks.astype(np.int8))) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(source)], strict=True))
