"""Timed frames -> H.264 in MP4, with the frames' own times, size, pixel format family and colour tags."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from kouxing.errors import OutputError
from kouxing.media.aside import Part, output_error
from kouxing.media.boxes import is_whole, write_shown_size
from kouxing.media.colour import bits_of, chroma_step
from kouxing.media.join import join
from kouxing.media.reader import MediaInfo
from kouxing.types import Colour, VideoFrame
from kouxing.units import FRAME_HZ

__all__ = ["FINEST_HZ", "VideoWriter", "exact_base", "join"]

FINEST_HZ = 10_000_000
"""Finest MP4 clock: with it a frame may still stand for 200 s before its duration leaves 31 bits."""

COARSEST_HZ = 10_000
"""Coarser clocks are multiplied by a power of two up to here, as FFmpeg does: an edit list is counted in them."""

DEFAULT_RATE = Fraction(FRAME_HZ)

AVX_512 = 13
"""OpenCV's number of these instructions (``cv::CpuFeatures``)."""


def exact_base(time_base: Fraction) -> Fraction:
    """The time base that an MP4 is written in: a whole part of ``time_base`` where that is not too fine, else 1 us."""
    clock = time_base.denominator if time_base.denominator <= FINEST_HZ else 1_000_000
    while clock < COARSEST_HZ:
        clock *= 2
    return Fraction(1, clock)


class VideoWriter:
    """Write frames to an MP4; it appears under its name only when all went well.

    4:2:0 and 4:2:2 pictures with an odd width or height are stored one column or line larger (repeated edge) with a
    clean-aperture box that gives their true size: H.264 has no odd 4:2:0 pictures, and 4:4:4 plays nearly nowhere.

    Args:
        path: the output, replaced if it exists.
        like: the source, or one of its frames: gives size, pixel format, colour tags and pixel shape.
        rate: frames per second, for players and for the last frame's length; from ``like`` where None.
        time_base: seconds per unit of the frames' pts; from ``like`` where None. Kept exactly down to 1e-7 s.
        crf: x264's quality, lower is better. preset: x264's speed.
        more: further options of x264, by FFmpeg's names.
        threads: of the encoder; 0 for as many as it likes.

    Raises:
        OutputError: the file cannot be written. Nothing is left behind then.
    """

    def __init__(
        self,
        path: Path,
        *,
        like: MediaInfo | VideoFrame,
        rate: Fraction | None = None,
        time_base: Fraction | None = None,
        crf: int = 18,
        preset: str = "veryfast",
        more: Mapping[str, str] = MappingProxyType({}),
        threads: int = 0,
    ) -> None:
        if like.colour is None:
            raise ValueError(f"{like} has no picture")
        own_rate = like.rate if isinstance(like, MediaInfo) else None
        self.path = Path(path)
        self.colour = like.colour
        self.size = (like.width, like.height)
        self.rate = rate or own_rate or DEFAULT_RATE
        self.time_base = exact_base(time_base or like.time_base or 1 / self.rate)
        self._time = Fraction(0)
        self._last = -1
        self._frames = 0
        step_x, step_y = chroma_step(self.colour.pixel_format)
        self._stored = (self.size[0] + self.size[0] % step_x, self.size[1] + self.size[1] % step_y)
        self._part = Part(self.path)
        try:
            self._container, self._stream = self._open(like, {"preset": preset, "crf": str(crf), **more}, threads)
        except (FFmpegError, OSError, ValueError) as error:
            self._part.remove()
            raise output_error(self.path, error) from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, frame: VideoFrame) -> None:
        """Add one frame; times must rise.

        Raises:
            OutputError: the disk is full, or the like.
            ValueError: another size or format, or a time not after the last.
        """
        if (frame.width, frame.height) != self.size or frame.colour.pixel_format != self.colour.pixel_format:
            raise ValueError(f"{frame.width}x{frame.height} {frame.colour.pixel_format} is not like the first frame")
        if self._frames and frame.time <= self._time:
            raise ValueError(f"time {frame.time} does not follow {self._time}")
        # Only where the source's clock is finer than an MP4's may two times round to one tick.
        pts = max(round(frame.time / self.time_base), self._last + 1)
        self._time, self._last, self._frames = frame.time, pts, self._frames + 1
        picture = self._picture(frame)
        picture.pts, picture.time_base = pts, self.time_base
        picture.duration = max(1, round(1 / self.rate / self.time_base))
        self._mux(picture)

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            OutputError: it cannot be finished, or no frame was written.
        """
        if not self._frames:
            self.abort()
            raise OutputError(f"{self.path} cannot be written: there is not a single frame to write")
        self._mux(None)
        try:
            self._container.close()
            if not is_whole(self._part.path):
                raise OutputError(f"{self.path} cannot be written: the file came out cut off; is the disk full?")
            if self._stored != self.size:
                write_shown_size(self._part.path, *self.size)
        except (FFmpegError, OSError) as error:
            raise output_error(self.path, error) from error
        else:
            self._part.finish()
        finally:
            self._part.remove()

    def abort(self) -> None:
        """Give up: nothing is left behind."""
        try:
            self._container.close()
        except (FFmpegError, OSError):
            pass  # the file goes away in any case
        finally:
            self._part.remove()

    def _open(
        self, like: MediaInfo | VideoFrame, settings: dict[str, str], threads: int
    ) -> tuple[OutputContainer, Any]:
        clock = str(self.time_base.denominator)
        # The movie clock must be as fine as the track's: a segment's start time is written in it.
        options = {"video_track_timescale": clock, "movie_timescale": clock}
        container = av.open(f"file:{self._part.path}", "w", format="mp4", options=options)
        stream: Any = container.add_stream("libx264", rate=self.rate)
        context = stream.codec_context
        stream.width, stream.height = self._stored
        stream.pix_fmt = self.colour.pixel_format
        context.time_base = self.time_base
        context.thread_count = threads
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = self.colour.tags
        if isinstance(like, MediaInfo) and like.sample_aspect != 1:
            context.sample_aspect_ratio = like.sample_aspect
        # Without B-frames decode order is time order, and segments join without a gap in their decode times. Weighing
        # blocks by what later frames take from them (mbtree) reads memory that nobody wrote: the same pictures then
        # came out as other bytes, once in a hundred files, and moving mouths as the blocks with the fewest bits.
        context.options = {**settings, "bf": "0", "mbtree": "0"}
        if cv2.checkHardwareSupport(AVX_512):
            # The bytes are the same by any instructions; by the newest x264 takes a fifth longer (docs/log.md).
            context.options = {**context.options, "x264-params": "asm=avx2"}
        container.start_encoding()
        return container, stream

    def _picture(self, frame: VideoFrame) -> av.VideoFrame:
        """A PyAV frame with a copy of the planes."""
        picture = av.VideoFrame(*self._stored, self.colour.pixel_format)
        kind = np.uint8 if bits_of(self.colour.pixel_format) == 8 else np.uint16
        for plane, source in zip(picture.planes, frame.planes, strict=True):
            memory: Any = plane
            strides = (plane.line_size, np.dtype(kind).itemsize)
            view: NDArray[Any] = np.ndarray((plane.height, plane.width), kind, buffer=memory, strides=strides)
            rows, columns = source.shape
            view[:rows, :columns] = source
            if columns < plane.width:
                view[:rows, columns:] = source[:, -1:]
            if rows < plane.height:
                view[rows:] = view[rows - 1]
        _tag(picture, self.colour)
        return picture

    def _mux(self, picture: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except (FFmpegError, OSError) as error:
            self.abort()
            raise output_error(self.path, error) from error


def _tag(picture: av.VideoFrame, colour: Colour) -> None:
    picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc = colour.tags
