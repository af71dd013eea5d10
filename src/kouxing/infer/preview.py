"""An avatar speaking, as an mp4: drawn on the processor, without a display."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from kouxing.errors import OptionError
from kouxing.infer import morphs
from kouxing.infer.render import SIDE_PX, Renderer, check
from kouxing.media.colour import planes_from_rgb
from kouxing.media.join import join
from kouxing.media.metadata import ALL_MADE
from kouxing.media.reader import RGB_COLOUR
from kouxing.media.writer import VideoWriter
from kouxing.types import CoefficientTrack, VideoFrame

RATE = Fraction(30)
"""Pictures per second; twice as many look hardly better and take twice the time."""

THREADS = 1
"""Of the encoder: drawing takes a core already."""


def preview(
    track: CoefficientTrack,
    head: Path,
    out: Path,
    sound: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    side_px: int = SIDE_PX,
    rate: Fraction = RATE,
) -> None:
    """Write a video of an avatar following a track.

    Args:
        track: coefficients, at least one row.
        head: a GLB with ARKit's morph targets.
        out: the ``.mp4``; replaced if it is there, and there only when it is whole.
        sound: a file whose sound goes with it.
        progress: called with (pictures done, pictures in all).
        side_px: width and height, even. rate: pictures per second.

    Raises:
        OptionError: Panda3D is missing, the size is out of range, or the track is empty.
        MediaError, DataError: the avatar cannot be used. OutputError: ``out`` cannot be written.
    """
    check()
    if not len(track):
        raise OptionError(f"{out}: there is nothing to draw in a track without rows")
    shown = track.at(rate)
    parts = morphs.load(head)
    # The pictures go into a file of their own first: sound is joined to whole videos.
    # Always under one name: what a killed run left is replaced by the next.
    silent = out.with_name(f".{out.stem[:40]}.kouxing.pictures.mp4")
    try:
        with Renderer(parts, side_px) as renderer:
            writer: VideoWriter | None = None
            try:
                for number, picture in enumerate(renderer.frames(shown)):
                    planes = planes_from_rgb(picture, RGB_COLOUR)
                    frame = VideoFrame(planes, number, 1 / rate, RGB_COLOUR)
                    writer = writer or VideoWriter(silent, like=frame, rate=rate, threads=THREADS)
                    writer.write(frame)
                    if progress is not None:
                        progress(number + 1, len(shown))
            except BaseException:
                if writer is not None:
                    writer.abort()
                raise
            if writer is not None:
                writer.close()
        seconds = Fraction(len(shown)) / rate if sound is not None else None
        join([silent], out, sound=sound, seconds=seconds, mark=ALL_MADE)
    finally:
        silent.unlink(missing_ok=True)
