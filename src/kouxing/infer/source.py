"""The footage's pictures, from any time on, in the order in which the output shows them, in bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

from kouxing.errors import MediaError
from kouxing.infer.timeline import Ticks, backward_runs
from kouxing.media.reader import read_video
from kouxing.types import VideoFrame

BACKWARD_BYTES = 128 << 20
"""Playing backwards decodes pieces of at most this size and turns them around."""


def frame_bytes(frame: VideoFrame) -> int:
    """Memory of a frame's planes."""
    return sum(plane.nbytes for plane in frame.planes)


class Footage:
    """A video or a still picture.

    Args:
        path: the file.
        still: a picture: decoded once.
    """

    def __init__(self, path: Path, still: bool) -> None:
        self.path = path
        self.still = still
        self._kept: list[VideoFrame] = []

    def read(self, start: Fraction = Fraction(0)) -> Iterator[VideoFrame]:
        """Frames from the first at or after ``start`` (seconds) on."""
        if not self.still:
            return read_video(self.path, start=start)
        if not self._kept:
            self._kept = list(islice(read_video(self.path), 1))
        return iter(self._kept)

    def read_from(self, pts: int, time_base: Fraction) -> Generator[VideoFrame, None, None]:
        """Frames from the one with exactly this time on.

        It is sought; if the container then disagrees about times, everything before it is decoded too.

        Raises:
            MediaError: there is no such frame (any more).
        """
        for start in dict.fromkeys((pts * time_base, Fraction(0))):
            frames = self.read(start)
            for frame in frames:
                if frame.pts == pts and frame.time_base == time_base:
                    yield frame
                    yield from frames
                    return
                if frame.time > pts * time_base:
                    break
        raise self._changed(pts * time_base)

    def shown(
        self, pts: Ticks, time_base: Fraction, source: Ticks, bytes_each: int
    ) -> Generator[VideoFrame, None, None]:
        """The frames that an output shows.

        Args:
            pts: ``[N]`` times of the footage's frames in units of ``time_base``, as the scan found them.
            time_base: seconds per unit.
            source: ``[K]`` indices into ``pts``; neighbours differ by at most 1.
            bytes_each: memory of one frame, to bound what is held when playing backwards.

        Yields:
            ``K`` frames with the footage's own times. A frame that is held comes as the same object.

        Raises:
            MediaError: the file is not what was scanned.
        """
        piece = max(BACKWARD_BYTES // max(bytes_each, 1), 2)
        for first, last in backward_runs(source):
            run = source[first:last]
            if run[-1] >= run[0]:
                yield from self._forward(pts, time_base, run)
                continue
            for start in range(0, len(run), piece):
                yield from reversed(list(self._forward(pts, time_base, run[start : start + piece][::-1])))

    def _forward(self, pts: Ticks, time_base: Fraction, run: Ticks) -> Generator[VideoFrame, None, None]:
        """Frames of a run that never falls."""
        at = int(run[0])
        with closing(self.read_from(int(pts[at]), time_base)) as frames:
            frame = next(frames)
            for index in run.tolist():
                while at < index:
                    at, frame = at + 1, next(frames, frame)
                    if frame.pts != pts[at]:
                        raise self._changed(int(pts[at]) * time_base)
                yield frame

    def _changed(self, time: Fraction) -> MediaError:
        return MediaError(
            f"{self.path}: its frame at {float(time):.2f} s is gone; leave the file alone while it is read"
        )
