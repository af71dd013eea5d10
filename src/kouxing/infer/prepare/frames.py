"""A source's pictures at exactly 25 a second, with square pixels: the nearest picture in time, never a mixture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kouxing.infer.prepare.plan import time_of
from kouxing.media.reader import probe, read_video
from kouxing.types import VideoFrame
from kouxing.units import FRAME_S

EARLIER_S = Fraction(1, 4)
"""Reading begins so much before the first frame wanted: the nearest picture may lie before it."""


def chunk_frames(path: Path, first: int, last: int) -> Iterator[tuple[VideoFrame, bool]]:
    """Frames ``first`` up to ``last`` (not included), counted at 25 fps from the source's start; fewer at its end.

    Yields:
        The picture, and whether it is another one than the frame before shows.

    Raises:
        MediaError: the file cannot be read.
    """
    aspect = probe(path).sample_aspect
    start = max(time_of(first) - EARLIER_S, Fraction(0))
    before: VideoFrame | None = None
    shown: VideoFrame | None = None
    for frame in nearest(read_video(path, start), first, last):
        if frame is not before:
            shown = square(frame, aspect)
        if shown is None:
            raise AssertionError("a frame without a picture")
        yield shown, frame is not before
        before = frame


def nearest(frames: Iterable[VideoFrame], first: int, last: int) -> Iterator[VideoFrame]:
    """For each frame of a 25-fps clock the picture nearest in time; of two as near, the earlier.

    Args:
        frames: in the order of their times, beginning at or before the first one wanted, if there are any.
        first, last: frame numbers, ``last`` not included.

    Yields:
        The picture's own object, again and again where it is held. Ends half a frame after the last picture.
    """
    number = first
    before: VideoFrame | None = None
    for frame in frames:
        while before is not None and number < last and 2 * time_of(number) <= before.time + frame.time:
            yield before
            number += 1
        if number >= last:
            return
        before = frame
    while before is not None and number < last and time_of(number) <= before.time + FRAME_S / 2:
        yield before
        number += 1


def square(frame: VideoFrame, aspect: Fraction) -> VideoFrame:
    """The frame with square pixels; as it is where they are."""
    if aspect == 1 or not Fraction(1, 4) <= aspect <= 4:
        return frame
    width = max(2, round(frame.width * aspect / 2) * 2)
    planes: list[Any] = []
    for plane in frame.planes:
        samples: Any = plane
        size = (width if plane.shape[1] == frame.width else width // 2, plane.shape[0])
        planes.append(np.asarray(cv2.resize(samples, size, interpolation=cv2.INTER_AREA)))
    return replace(frame, planes=(planes[0], planes[1], planes[2]))
