"""Files -> timed frames and sound: any container, uneven frame times, turned, odd-sized or damaged files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from kouxing.errors import MediaError, NoVideoError
from kouxing.media.alpha import over_white
from kouxing.media.boxes import shown_size
from kouxing.media.colour import MATRIX_CODES, Planes, bits_of, chroma_step, matrix_of, planes_from_rgb, to_rgb
from kouxing.media.opening import (
    BROADCAST,
    decoded,
    is_picture_file,
    opened,
    sound_stream,
    stamp_of,
    timed_by_packets,
    video_stream,
)
from kouxing.media.orientation import Turn, turn_of, turned
from kouxing.media.profile import profile_of, to_srgb
from kouxing.media.sound import LONGEST_GAP_S, load_sound, read_sound
from kouxing.types import Bytes, Colour, Float, VideoFrame
from kouxing.units import FRAME_HZ

__all__ = ["MediaInfo", "load_sound", "probe", "read_sound", "read_video"]

KEPT_FORMATS = {f"yuv{j}{c}p" for j in ("", "j") for c in (420, 422, 444)} | {f"yuv{c}p10le" for c in (420, 422, 444)}
"""Pixel formats that stay as they are."""

LAYERED = "yuva"
"""Begins the names of pixel formats with three planes as YUV has them and a fourth of alpha."""

LARGEST_PX = 36_864 * 16 * 16
"""Area of the largest picture that H.264 level 5.2 holds; few players go beyond, and nothing here needs more. Larger
still pictures are scaled as they are read, before they fill memory."""
SCALING = Interpolation.AREA
RGB_COLOUR = Colour("yuv420p", "bt709", False, (1, 1, 1, 1))
"""What pictures and RGB videos become: the colours that every player shows alike."""

RESTART_S = 1
"""A step back in time longer than this is a clock that started anew, not a misplaced frame."""


RATE_FRAMES = 250
"""Frames whose times tell the rate where the file does not."""

MOST_ASPECT = 4
"""Pixels of another shape than 1:4 to 4:1 are a mistake of the file's."""


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds.

    Attributes:
        is_picture: one still image (an image file without animation).
        width, height: upright, in pixels, as ``read_video`` gives them; 0 without video.
        scaled: its frames come smaller than they are stored.
        interlaced: its first frame is of two fields, a line of each in turn.
        rate: average frames per second. time_base: seconds per unit of the frames' pts.
        seconds: length of the picture as the file tells it; None where it does not. sound_seconds: of the sound.
        colour: how the frames of ``read_video`` are to be read.
        rotation_deg: counter-clockwise turn that is applied to what is stored.
        sample_aspect: width of a pixel by its height, upright.
        sound_rate_hz: the sound's own rate.
    """

    path: Path
    has_video: bool
    has_sound: bool
    is_picture: bool = False
    width: int = 0
    height: int = 0
    scaled: bool = False
    interlaced: bool = False
    rate: Fraction | None = None
    seconds: Fraction | None = None
    sound_seconds: Fraction | None = None
    colour: Colour | None = None
    rotation_deg: int = 0
    time_base: Fraction | None = None
    sample_aspect: Fraction = Fraction(1)
    sound_rate_hz: int | None = None

    @property
    def shown_width(self) -> int:
        """The width with square pixels of the same height."""
        told = self.sample_aspect
        return max(1, round(self.width * told)) if 1 / MOST_ASPECT <= told <= MOST_ASPECT else self.width


def probe(path: Path) -> MediaInfo:
    """What a file holds; its first frame is decoded to be sure.

    Raises:
        MediaError: it cannot be read, or holds neither picture nor sound.
    """
    path = Path(path)
    with opened(path) as container:
        sound = sound_stream(container)
        has_sound = sound is not None and bool(sound.codec_context.sample_rate) and sound.duration != 0
        sound_rate = sound.codec_context.sample_rate if has_sound and sound is not None else None
        sound_seconds = _seconds(container, sound) if has_sound else None
        stream = video_stream(container)
        frames = decoded(container, stream) if stream is not None else iter(())
        first = next(frames, None)
        if first is None and not has_sound:
            raise MediaError(f"{path} holds neither picture nor sound that can be decoded; give another file")
        if stream is None or first is None:
            return MediaInfo(path, False, has_sound, sound_seconds=sound_seconds, sound_rate_hz=sound_rate)
        form = _Form.of(container, first, path)
        still = is_picture_file(container) and next(frames, None) is None
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return MediaInfo(
            path=path,
            has_video=True,
            has_sound=has_sound,
            is_picture=still,
            width=form.upright_size[0],
            height=form.upright_size[1],
            scaled=(first.width, first.height) != form.stored_size,
            interlaced=bool(first.interlaced_frame),
            rate=None if still else _rate(path, stream),
            seconds=None if still else _seconds(container, stream),
            sound_seconds=sound_seconds,
            colour=form.colour,
            rotation_deg=form.turn.quarters * 90,
            time_base=stream.time_base,
            sample_aspect=1 / aspect if form.turn.swaps else aspect,
            sound_rate_hz=sound_rate,
        )


def read_video(path: Path, start: Fraction = Fraction(0)) -> Iterator[VideoFrame]:
    """The file's frames, lazily, in constant memory.

    Upright; pts exact, from 0 at the file's first picture, strictly rising (frames without a time of their own, or at
    one that is taken, move to the next free tick). Kept as they are: 8-bit yuv(j)420p/422p/444p and 10-bit
    yuv420p10le/422/444, also beneath an alpha plane. Other YUV becomes yuv420p (deeper ones: 10 bits); pictures and RGB
    become yuv420p in limited BT.709. What is transparent shows white. Frames of another size or format within the file
    are scaled to the first.

    Args:
        path: any file with a picture. start: seconds; the first frame delivered is the first at or after it.

    Yields:
        Frames whose planes may be read-only views of the decoder's memory.

    Raises:
        MediaError: the file cannot be read. NoVideoError: it has no picture that can be decoded.
    """
    path = Path(path)
    with opened(path) as container:
        stream = _wanted_stream(container, path)
        first = next(decoded(container, stream), None)
        if first is None:
            raise NoVideoError(f"{path} has no picture that can be decoded; it is damaged or cut off, export it again")
        form = _Form.of(container, first, path)
        clock = _Clock(container, stream)
        begin = clock.zero_at(first)
    skip_to = start / clock.time_base
    sought = skip_to > 0 and not _starts_anew(path)
    with opened(path) as container:
        stream = _wanted_stream(container, path)
        for frame in _from(container, stream, begin, skip_to) if sought else decoded(container, stream):
            pts = clock.pts(frame)
            if pts >= skip_to:
                yield VideoFrame(form.planes(frame), pts, clock.time_base, form.colour)


class _Clock:
    """Turns decoded frames' times into strictly rising pts from 0."""

    def __init__(self, container: InputContainer, stream: Any) -> None:
        self.time_base = Fraction(stream.time_base)
        rate = stream.average_rate or stream.guessed_rate or Fraction(FRAME_HZ)
        self.step = max(1, round(1 / rate / self.time_base))
        # A slide may stand for long elsewhere; a broadcast that jumps ahead was joined.
        self.longest = LONGEST_GAP_S / self.time_base if container.format.name in BROADCAST else math.inf
        self._by_packet = timed_by_packets(container)
        self.shift: int | None = None
        self.last = -1

    def zero_at(self, frame: Any) -> int:
        """Make this frame's time 0; returns it in the file's own clock."""
        begin = stamp_of(frame, self._by_packet)
        self.shift = -(begin or 0)
        return begin or 0

    def pts(self, frame: Any) -> int:
        stamp = stamp_of(frame, self._by_packet)
        if self.shift is None:
            self.zero_at(frame)
        if stamp is None:
            pts = self.last + self.step if self.last >= 0 else 0
        else:
            pts = stamp + (self.shift or 0)
            if pts + RESTART_S / self.time_base < self.last or pts > self.last + self.longest:
                self.shift = self.last + self.step - stamp
                pts = self.last + self.step
        self.last = max(pts, self.last + 1)
        return self.last


@dataclass(frozen=True)
class _Form:
    """What every frame of a file is brought to."""

    stored_size: tuple[int, int]
    shown: tuple[int, int]
    from_rgb: bool
    turn: Turn
    colour: Colour
    profile: bytes | None

    @classmethod
    def of(cls, container: InputContainer, frame: Any, path: Path) -> _Form:
        size = (frame.width, frame.height)
        if is_picture_file(container):
            size = size_read(*size)
        shown = shown_size(path) or size
        shown = (min(shown[0], size[0]), min(shown[1], size[1]))
        if _tiled(container):
            raise MediaError(f"{path} is a picture stored in tiles (HEIC); convert it to JPEG or PNG")
        target, from_rgb = _target(frame)
        from_rgb = from_rgb or is_picture_file(container)
        colour = RGB_COLOUR if from_rgb else _colour_of(frame, target)
        photo = path if is_picture_file(container) else None
        profile = None if photo is None else profile_of(photo)
        return cls(size, shown, from_rgb, turn_of(frame, photo), colour, profile)

    @property
    def upright_size(self) -> tuple[int, int]:
        return (self.shown[1], self.shown[0]) if self.turn.swaps else self.shown

    def planes(self, frame: Any) -> Planes:
        """The upright planes of a decoded frame."""
        if (frame.width, frame.height) != self.stored_size:
            # Palettes and bit maps cannot be scaled as they are.
            form = "rgba" if self.from_rgb and frame.format.name not in KEPT_FORMATS else frame.format.name
            smaller = frame.width * frame.height > self.stored_size[0] * self.stored_size[1]
            frame = frame.reformat(*self.stored_size, format=form, interpolation=SCALING if smaller else None)
        colour = self.colour
        if self.from_rgb:
            planes = planes_from_rgb(self._srgb(frame), colour)
        else:
            planes, cover = _views(frame, colour.pixel_format), _cover(frame)
            planes = planes if cover is None else over_white(planes, cover, colour)
        if self.shown != self.stored_size:
            planes = _cropped(planes, self.shown, self.colour.pixel_format)
        return turned(planes, self.turn) if self.turn else planes

    def _srgb(self, frame: Any) -> Bytes:
        return _rgb(frame) if self.profile is None else to_srgb(_rgb(frame), self.profile)


def size_read(width: int, height: int) -> tuple[int, int]:
    """The size that a picture is read in: its own, or one of about ``LARGEST_PX`` with sides that are whole blocks."""
    if width * height <= LARGEST_PX:
        return width, height
    factor = math.sqrt(LARGEST_PX / (width * height))
    return int(width * factor) // 16 * 16, int(height * factor) // 16 * 16


def _target(frame: Any) -> tuple[str, bool]:
    """Pixel format for a frame, and whether it gets there through RGB."""
    form = frame.format
    if form.name in KEPT_FORMATS:
        return str(form.name), False
    layered = form.name.startswith(LAYERED)
    alpha = any(component.is_alpha for component in form.components)
    if form.is_rgb or form.has_palette or (alpha and not layered):
        return "yuv420p", True
    deep = max((component.bits for component in form.components), default=8) > 8
    if not deep and not layered:
        return "yuv420p", False
    family = next((c for c in ("422", "444") if c in form.name), "420")
    return f"yuv{family}p{'10le' if deep else ''}", False


def _colour_of(frame: Any, target: str) -> Colour:
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    tags = (frame.colorspace, 2 if full else frame.color_range, frame.color_primaries, frame.color_trc)
    return Colour(target, matrix_of(frame.colorspace, frame.width, frame.height), full, tags)


def _rgb(frame: Any) -> Bytes:
    """``[h, w, 3]`` RGB; what is transparent shows white."""
    name = frame.format.name
    if name in KEPT_FORMATS:
        return to_rgb(VideoFrame(_views(frame, name), 0, Fraction(1), _colour_of(frame, name)))
    matrix = MATRIX_CODES[matrix_of(frame.colorspace, frame.width, frame.height)]
    pixels = frame.reformat(format="rgba", src_colorspace=matrix).to_ndarray()
    cover = pixels[..., 3:]
    if cover.min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    mixed = pixels[..., :3].astype(np.uint16) * cover + 255 * (255 - cover.astype(np.uint16))
    return ((mixed + 127) // 255).astype(np.uint8)


def _views(frame: Any, target: str) -> Planes:
    """The planes in ``target`` format, without a copy where the frame has it already."""
    if frame.format.name.replace(LAYERED, "yuv", 1) != target:
        frame = frame.reformat(format=target)
    kind = np.uint8 if bits_of(target) == 8 else np.uint16
    luma, u, v = (_view(plane, kind) for plane in frame.planes[:3])
    return luma, u, v


def _cover(frame: Any) -> Float | None:
    """Its alpha plane, ``[h, w]`` 0..1; None where it has none that lets anything through."""
    if not frame.format.name.startswith(LAYERED):
        return None
    alpha = next(component for component in frame.format.components if component.is_alpha)
    order = ">" if frame.format.name.endswith("be") else "<"
    cover = _view(frame.planes[alpha.plane], np.dtype(f"{order}u{1 if alpha.bits == 8 else 2}"))
    full = 2**alpha.bits - 1
    return None if cover.min() == full else cover.astype(np.float32) / full


def _view(plane: Any, kind: type[np.generic] | np.dtype[Any]) -> NDArray[np.generic]:
    """A read-only view of a plane: the decoder may still need it as a reference."""
    item = np.dtype(kind).itemsize
    line = plane.line_size
    offset = (plane.height - 1) * -line if line < 0 else 0
    view: NDArray[np.generic] = np.ndarray(
        (plane.height, plane.width), kind, buffer=plane, offset=offset, strides=(line, item)
    )
    view.flags.writeable = False
    return view


def _cropped(planes: Planes, size: tuple[int, int], pixel_format: str) -> Planes:
    width, height = size
    step_x, step_y = chroma_step(pixel_format)
    rows, columns = -(-height // step_y), -(-width // step_x)
    return planes[0][:height, :width], planes[1][:rows, :columns], planes[2][:rows, :columns]


def _starts_anew(path: Path) -> bool:
    """Whether the pictures' clock goes back or far ahead within the file, as in joined broadcasts: one time is then
    told of several pictures, or of none, and nothing can be sought by it. Packets are looked at and not decoded."""
    about = path.stat()
    return _jumps(str(path), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=16)
def _jumps(path: str, _size: int, _changed_ns: int) -> bool:
    with opened(Path(path)) as container:
        if container.format.name not in BROADCAST:
            return False
        stream: Any = video_stream(container)
        back, ahead, latest = RESTART_S / stream.time_base, LONGEST_GAP_S / stream.time_base, None
        for packet in container.demux(stream):
            if packet.dts is not None:
                if latest is not None and not latest - back <= packet.dts <= latest + ahead:
                    return True
                latest = packet.dts
    return False


def _wanted_stream(container: InputContainer, path: Path) -> Any:
    stream = video_stream(container)
    if stream is None:
        raise NoVideoError(f"{path} has no picture; give a video or a photo")
    stream.thread_type = "AUTO"
    return stream


def _from(container: InputContainer, stream: Any, begin: int, skip_to: Fraction) -> Iterator[Any]:
    """Frames from the key frame at or before ``skip_to`` (in pts from 0); from the file's start where no seek works."""
    wanted, by_packet = begin + skip_to, timed_by_packets(container)
    margin = 0
    for _ in range(4):
        target = int(wanted) - margin
        if target <= begin:
            break
        try:
            container.seek(target, stream=stream, backward=True, any_frame=False)
        except (FFmpegError, OSError):
            break
        frames = decoded(container, stream)
        key = next((frame for frame in frames if frame.key_frame), None)
        stamp = None if key is None else stamp_of(key, by_packet)
        if stamp is not None and stamp <= wanted:
            yield key
            # Frames before the key frame refer to pictures that were not decoded.
            yield from (frame for frame in frames if (stamp_of(frame, by_packet) or stamp) > stamp)
            return
        margin = max(4 * margin, round(2 / stream.time_base))
    path = Path(container.name.removeprefix("file:"))
    with opened(path) as again:
        yield from decoded(again, _wanted_stream(again, path))


def _rate(path: Path, stream: Any) -> Fraction | None:
    """Frames a second: as told, else of the first seconds; what browsers record does not tell."""
    if stream.average_rate:
        return Fraction(stream.average_rate)
    with opened(path) as again:
        packets = again.demux(video_stream(again))
        stamps = sorted(islice((packet.pts for packet in packets if packet.pts is not None), RATE_FRAMES))
    if len(stamps) > 1 and stamps[-1] > stamps[0]:
        return Fraction(len(stamps) - 1, stamps[-1] - stamps[0]) / Fraction(stream.time_base)
    return Fraction(stream.guessed_rate) if stream.guessed_rate else None


def _tiled(container: InputContainer) -> bool:
    return is_picture_file(container) and len(container.streams.video) > 2 and "heic" in str(container.metadata)


def _seconds(container: InputContainer, stream: Any) -> Fraction | None:
    # MPEG program streams give no duration; what FFmpeg guesses for one stream of them is wrong.
    if stream.duration and container.format.name != "mpeg":
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, av.time_base) if container.duration else None
