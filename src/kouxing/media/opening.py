"""Opening a file and decoding one stream of it; FFmpeg's failures become a user's errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from kouxing.errors import MediaError

FOREIGN_FORMATS = {"hls", "concat", "dash", "sdp", "rtsp", "tty", "imf", "lavfi"}
"""Demuxers that fetch other files, or that take any text for a picture."""

ADDRESS = re.compile(r"[a-z]{2,}:/", re.IGNORECASE)
"""A path that was an address (of whose slashes a path keeps one), if no such file is there."""

PICTURE_BRANDS = {"heic", "heix", "mif1", "avif"}


BROADCAST = ("mpegts", "mpeg")
"""FFmpeg's names of the containers that one may enter anywhere."""

OPTIONS = {"protocol_whitelist": "file", "correct_ts_overflow": "0"}
"""Of opening: no other files; and a clock that goes back has been set back, not run over after a day."""


def check_file(path: Path) -> None:
    """Whether ``path`` can be a file that is read more than once, and not only from its beginning.

    Raises:
        MediaError: an address, a pipe or a device; or its folder may not be entered.
    """
    try:
        os.stat(path)
    except PermissionError as error:
        raise MediaError(f"{path} cannot be read: permission denied; change its folder's rights") from error
    except (OSError, ValueError):
        pass  # what is not there is told of below, or by whoever opens it
    if os.path.isfile(path) or os.path.isdir(path):
        return
    if os.path.exists(path):
        raise MediaError(f"{path} is a pipe or a device, which can be read only once; save it to a file first")
    if ADDRESS.match(str(path)):
        raise MediaError(f"{path} is an address; download it first and give the file")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The opened file.

    Raises:
        MediaError: no such file, a folder, empty, unreadable, or not a medium that FFmpeg knows.
    """
    path = Path(path)
    check_file(path)
    # os.path tells of names that cannot be (too long, with a null byte) what it tells of missing files.
    if os.path.isdir(path):
        raise MediaError(f"{path} is a folder; give a media file")
    if not os.path.exists(path):
        raise MediaError(f"{path} does not exist; check the path")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise MediaError(f"{path} is empty (0 bytes); give a media file")
    try:
        # "file:" keeps a colon in a name from being read as a protocol.
        container = av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace")
    except PermissionError as error:
        raise MediaError(f"{path} cannot be read: permission denied; change the file's rights") from error
    except (FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{path} is not a media file that can be read (damaged, cut off or mislabelled); play it or export it again"
        ) from error
    with container:
        if set(container.format.name.split(",")) & FOREIGN_FORMATS:
            raise MediaError(f"{path} is a {container.format.name} list, not a media file; give the media itself")
        yield container


def video_stream(container: InputContainer) -> Any | None:
    """The best video stream; None where there is none (the cover picture of a song is not one)."""
    streams = [s for s in container.streams.video if _usable(s) and not s.disposition & Disposition.attached_pic]
    if not streams:
        return None
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def sound_stream(container: InputContainer) -> Any | None:
    """The sound stream that players take: the first that is marked as the default, else the first; None without any.

    FFmpeg's choice of the best depends on when they start, which is what is to be measured.
    """
    streams = [stream for stream in container.streams.audio if _usable(stream)]
    marked = (stream for stream in streams if stream.disposition & Disposition.default)
    return next(marked, streams[0] if streams else None)


def is_picture_file(container: InputContainer) -> bool:
    """Whether the container is one for still pictures (which may still hold an animation)."""
    names = container.format.name.split(",")
    if any(name.endswith("_pipe") or name in {"image2", "gif", "apng"} for name in names):
        return True
    return str(container.metadata.get("major_brand", "")) in PICTURE_BRANDS


def decoded(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Frames of one stream; packets that cannot be decoded are skipped, a cut-off file ends where it ends."""
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError):
                continue
            yield from frames
    except (FFmpegError, OSError):
        try:
            frames = stream.decode(None)
        except (FFmpegError, OSError):
            frames = []
        yield from frames


def timed_by_packets(container: InputContainer) -> bool:
    """Whether packets lie evenly in time in the order in which they are decoded, as AVI's: what FFmpeg takes for a
    frame's own time is no such thing there, where frames refer to later ones."""
    return bool(container.format.name == "avi")


def stamp_of(frame: Any, by_packet: bool) -> int | None:
    """The frame's time in its stream's clock; raw streams, and those ``timed_by_packets``, tell only the packet's."""
    told: int | None = frame.dts if by_packet or frame.pts is None else frame.pts
    return told


def first_picture(container: InputContainer) -> Fraction | None:
    """Time of the first picture that can be decoded, in the file's own clock; None where there is no picture.

    Broadcasts, recordings of streams and what is cut out of them begin between two key frames: pictures are told from
    the start on, and none of them is seen before the first key frame.
    """
    video = video_stream(container)
    if video is None:
        return None
    told = Fraction(video.start_time * video.time_base) if video.start_time is not None else Fraction(0)
    if timed_by_packets(container):
        # Packets' times of decoding begin with the file, whatever is shown first.
        return told
    broadcast = container.format.name in BROADCAST
    with opened(Path(str(container.name).removeprefix("file:"))) as again:
        first: Any = video_stream(again)
        start = next((packet for packet in again.demux(first) if packet.size), None)
        if start is not None and start.is_keyframe and start.pts == first.start_time and not broadcast:
            # Nothing is shown before it, and it needs nothing before it.
            return told
    with opened(Path(str(container.name).removeprefix("file:"))) as again:
        first = video_stream(again)
        seen = next((stamp_of(frame, False) for frame in decoded(again, first)), None)
        return told if seen is None else Fraction(seen * first.time_base)


def _usable(stream: Any) -> bool:
    return getattr(stream, "codec_context", None) is not None and stream.codec_context.name is not None
