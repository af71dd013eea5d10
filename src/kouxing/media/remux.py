"""A file's sound moved against its pictures, which stay as they are: packets are copied, only their times change.

MP4, MOV, Matroska, WebM and MPEG-TS keep a time with every packet, so there the sound is not coded again either. In
other containers sound has no times of its own (AVI), or a start that players ignore: there it alone is coded anew.
"""

from __future__ import annotations

import heapq
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.codec.codec import UnknownCodecError
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from kouxing.errors import MediaError, NoSoundError, NoVideoError, OptionError, OutputError
from kouxing.media import credentials
from kouxing.media.aside import aside, need_space
from kouxing.media.boxes import is_whole
from kouxing.media.metadata import ALL_MADE, COMPOSITE, SOURCE_TYPES, mark_synthetic, read_mark
from kouxing.media.opening import first_picture, opened, sound_stream, video_stream
from kouxing.media.sound import SoundSource, opened_sound, resampled, sound_frame
from kouxing.types import Float

MUXERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts",
    ".m2ts": "mpegts", ".mts": "mpegts", ".avi": "avi", ".flv": "flv",
}  # fmt: skip
"""Endings that can be written -> FFmpeg's name of the container."""

EDITED = {"mp4", "mov"}
"""Their edit lists cut the start of a track exactly."""
TIMED = EDITED | {"matroska", "webm", "mpegts"}
"""A packet of sound may start at any time."""

SQUARE = ("matroska", "webm")
"""Their muxers take the shape of pixels from elsewhere, which PyAV cannot set."""

PREROLL_S = Fraction(1, 5)
"""Sound kept before an edit list's cut, so that the decoder has settled when it is heard."""

COPIED = {"video", "audio", "subtitle"}
BLOCK = 1 << 16


@dataclass(frozen=True)
class Moved:
    """What ``move_sound`` did.

    Attributes:
        copied: False where the sound was coded again.
        notes: what the user should know, a line each.
    """

    copied: bool
    notes: tuple[str, ...] = ()


def check_target(source: Path, out: Path) -> None:
    """Whether ``out`` can be written from ``source``.

    Raises:
        OptionError: another container than the source's, or one that cannot be written here.
    """
    suffix = out.suffix.lower()
    if suffix not in MUXERS:
        raise OptionError(f"{out}: this kind of file cannot be written; end it in {' '.join(MUXERS)}")
    if MUXERS[suffix] != MUXERS.get(source.suffix.lower()):
        raise OptionError(f"{out}: pictures are copied as they are, so end it in {source.suffix} as {source.name} does")


def check_copy(source: Path, out: Path) -> None:
    """Whether ``out`` can hold what ``source`` holds: told before long work.

    Raises:
        MediaError: it cannot, or the file cannot be read. NoVideoError, NoSoundError: it lacks one.
    """
    muxer = MUXERS[out.suffix.lower()]
    with opened(source) as given, _in_memory(muxer) as made:
        _tracks(given, made, skip=None if muxer in TIMED else sound_stream(given))
        if muxer not in TIMED:
            with opened_sound(source) as heard:
                _encoder(made, heard)
        try:
            made.start_encoding()
        except (FFmpegError, ValueError) as error:
            raise MediaError(f"{source}: cannot be written anew as {muxer}; convert it to another container") from error


def copy_file(source: Path, out: Path) -> None:
    """Copy byte for byte, written aside.

    Raises:
        OutputError: ``out`` cannot be written.
    """
    need_space(out, source.stat().st_size)
    with aside(out) as part:
        shutil.copyfile(source, part)


def move_sound(source: Path, out: Path, earlier: Fraction) -> Moved:
    """Write ``source`` with its sound ``earlier`` (seconds; negative: later) against the pictures.

    Video packets are the same bytes at the same times. Other sound tracks and subtitles are copied as they are. The
    sound ends where the file ended, if not before.

    Args:
        source: a video with sound.
        out: ends as ``source`` does (``check_target``); replaced if it is there.
        earlier: at the most a few seconds.

    Raises:
        MediaError: the file cannot be read, or its container cannot hold what it held. OptionError: see
        ``check_target``. OutputError: ``out`` cannot be written.
    """
    check_target(source, out)
    muxer = MUXERS[out.suffix.lower()]
    size = source.stat().st_size
    need_space(out, size + size // 20)
    with aside(out) as part:
        moved = _copied(source, part, muxer, earlier) if muxer in TIMED else _coded(source, part, muxer, earlier)
        if muxer in EDITED and not is_whole(part):
            raise OutputError(f"{out} cannot be written: the file came out cut off; is the disk full?")
        mark = (read_mark(source) or "").removeprefix(SOURCE_TYPES) if muxer in EDITED else ""
        if mark in (COMPOSITE, ALL_MADE):
            # What was made stays told, whatever was done to its sound.
            mark_synthetic(part, mark)
            credentials.sign(part, mark, out.name)
    return moved


@dataclass
class _Copy:
    """The output's tracks by the number of the source's stream, and what is told about the rest."""

    tracks: dict[int, Any]
    sound: Any
    notes: list[str]


def _opened_out(source: InputContainer, part: Path, muxer: str) -> OutputContainer:
    options = {}
    video = video_stream(source)
    if muxer in EDITED and video is not None and video.time_base:
        clock = str(video.time_base.denominator)
        # The muxer's own clock would round the pictures' times; without edit lists it would shift all tracks.
        options = {"video_track_timescale": clock, "movie_timescale": clock, "movflags": "+faststart"}
        if any(key.startswith(PHONE_TAGS) for key in source.metadata):
            options["movflags"] += "+use_metadata_tags"
    if muxer in TIMED - {"mpegts"}:
        options["avoid_negative_ts"] = "disabled"
    out = av.open(f"file:{part}", "w", format=muxer, options=options)
    out.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in OWN_TAGS})
    return out


OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""What a container says of itself; the new one says its own."""
TRACK_TAGS = {"language", "title", "handler_name", "timecode"}
PHONE_TAGS = "com."
"""Begins the keys in which phones tell place, device and time (com.apple.quicktime.make); others are widely known."""


def _tracks(source: InputContainer, out: OutputContainer, skip: Any = None) -> _Copy:
    """A track in ``out`` for every stream that can be copied, but ``skip``."""
    video, sound = video_stream(source), sound_stream(source)
    if video is None:
        raise NoVideoError(f"{_name(source)} has no picture; give a video")
    if sound is None:
        raise NoSoundError(f"{_name(source)} has no sound; give a video with a sound track")
    copy = _Copy({}, sound, [])
    left: list[str] = []
    coded_time = "timecode" in {**source.metadata, **video.metadata}
    for stream in source.streams:
        if stream is skip:
            continue
        if stream.type == "data" and "timecode" in stream.metadata and out.format.name in EDITED and coded_time:
            # The muxer makes this track again.
            continue
        if stream.type not in COPIED or (stream.type == "video" and stream is not video):
            left.append(str(stream.type))
            continue
        try:
            track = _twin(out, stream)
        except (FFmpegError, ValueError, TypeError) as error:
            if stream is video:
                name = stream.codec_context.codec.canonical_name
                told = f"{_name(source)}: its pictures ({name}) cannot be copied into {out.format.name}"
                raise MediaError(f"{told}; convert them to H.264 in an .mp4 first") from error
            left.append(str(stream.type))
            continue
        if stream is video and _takes_tag(out, stream):
            # Of several names for one coder, players of Apple's know only the one their files have (hvc1, not hev1).
            track.codec_context.codec_tag = stream.codec_context.codec_tag
        track.time_base = stream.time_base
        track.disposition = stream.disposition
        shape = getattr(stream, "sample_aspect_ratio", None)
        if stream is video and shape:
            # Where the container tells it and not the pictures.
            setattr(track, "sample_aspect_ratio", shape)  # noqa: B010 - PyAV's types do not know it
            if shape != 1 and out.format.name in SQUARE:
                told = f"{shape.numerator}:{shape.denominator}"
                copy.notes.append(
                    f"its pixels are {told}, which may be lost: convert the file to .mp4 first to keep it"
                )
        track.metadata.update({k: v for k, v in stream.metadata.items() if k in TRACK_TAGS})
        copy.tracks[stream.index] = track
    if left:
        copy.notes.append(f"left out, since it cannot be copied: {', '.join(left)}")
    if sum(stream.type == "audio" for stream in source.streams) > 1:
        copy.notes.append("only the sound track that was measured is moved; the others stay as they are")
    return copy


def _twin(out: OutputContainer, stream: Any) -> Any:
    """A track for the stream's packets as they are."""
    try:
        return out.add_stream_from_template(stream)
    except UnknownCodecError:
        # No encoder has its decoder's name (libdav1d); none is needed.
        track: Any = out.add_stream_from_template(stream, opaque=True)
        track.codec_context.flags = stream.codec_context.flags
        return track


def _takes_tag(out: OutputContainer, stream: Any) -> bool:
    """Whether the container knows the name that the source has for the coder."""
    with _in_memory(out.format.name) as made:
        _twin(made, stream).codec_context.codec_tag = stream.codec_context.codec_tag
        try:
            made.start_encoding()
        except FFmpegError:
            return False
    return True


def _in_memory(muxer: str) -> OutputContainer:
    return av.open(io.BytesIO(), "w", format=muxer)


def _copied(path: Path, part: Path, muxer: str, earlier: Fraction) -> Moved:
    with opened(path) as source, _opened_out(source, part, muxer) as out:
        copy = _tracks(source, out)
        chapters = source.chapters()
        if chapters:
            out.set_chapters(chapters)
        sound, end = copy.sound, _end(source)
        first = first_picture(source) or Fraction(0)
        shift = round(earlier / sound.time_base)
        # What would be heard before the first picture is cut, with some kept for decoders where an edit list hides it.
        begin = first - (PREROLL_S if muxer in EDITED else 0)
        for packet in source.demux([stream for stream in source.streams if stream.index in copy.tracks]):
            if (packet.dts is None and packet.pts is None) or not packet.size:
                continue
            if packet.stream.index == sound.index:
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                time = (packet.pts if packet.pts is not None else packet.dts) * sound.time_base
                if (earlier > 0 and time < begin) or (end is not None and time >= end):
                    continue
            packet.stream = copy.tracks[packet.stream.index]
            out.mux(packet)
        return Moved(True, tuple(copy.notes))


def _coded(path: Path, part: Path, muxer: str, earlier: Fraction) -> Moved:
    """Pictures copied, the sound moved sample by sample and coded with the source's codec."""
    with opened(path) as source, opened_sound(path) as heard, _opened_out(source, part, muxer) as out:
        sound = sound_stream(source)
        copy = _tracks(source, out, skip=sound)
        track = _encoder(out, heard)
        first, end = first_picture(source) or Fraction(0), _end(source)
        limit = None if end is None else ceil((end - first) * heard.rate_hz)
        pictures = _packets(source, copy)
        # Encoders begin before the sound does, which these containers would play as a delay.
        coded = _encoded(_moved(heard, earlier, limit), track, heard)
        spoken = (packet for packet in coded if 2 * (packet.pts or 0) + (packet.duration or 0) >= 0)
        for packet in heapq.merge(pictures, spoken, key=lambda one: (one.dts or 0) * one.time_base):
            out.mux(packet)
        return Moved(False, (*copy.notes, f"the sound was coded again: {muxer} cannot hold its packets at other times"))


def _packets(source: InputContainer, copy: _Copy) -> Iterator[Any]:
    """The copied streams' packets, with decode times where the container has none, from 0 at the first picture."""
    shift = {stream.index: 0 for stream in source.streams}
    first = first_picture(source) or Fraction(0)
    for index in shift:
        shift[index] = round(first / Fraction(source.streams[index].time_base or 1))
    filters = {index: _started(source.streams[index], track) for index, track in copy.tracks.items()}
    for packet in source.demux([stream for stream in source.streams if stream.index in copy.tracks]):
        if (packet.dts is None and packet.pts is None) or not packet.size:
            continue
        index = packet.stream.index
        packet.pts = None if packet.pts is None else packet.pts - shift[index]
        packet.dts = None if packet.dts is None else packet.dts - shift[index]
        one = filters[index]
        for made in [packet] if one is None else one.filter(packet):
            made.stream = copy.tracks[index]
            yield made


def _started(stream: Any, track: Any) -> BitStreamFilterContext | None:
    """For pictures as MP4 holds them, each part behind its length: these containers want start codes instead."""
    name, told = stream.codec_context.name, getattr(stream.codec_context, "extradata", None)
    if stream.type != "video" or name not in ("h264", "hevc") or not told or told[0] != 1:
        return None
    return BitStreamFilterContext(f"{name}_mp4toannexb", stream, track)


def _encoder(out: OutputContainer, heard: SoundSource) -> Any:
    """A sound track like the source's."""
    context = heard.stream.codec_context
    # The decoder may have a name of its own, as MP3's has.
    name = str(context.codec.canonical_name)
    try:
        track: Any = out.add_stream(name, rate=heard.rate_hz)
    except (FFmpegError, ValueError) as error:
        raise MediaError(
            f"{heard.path}: its sound ({name}) cannot be coded again in this container; convert the file to .mp4 first"
        ) from error
    track.codec_context.layout = heard.layout
    if context.bit_rate:
        track.codec_context.bit_rate = context.bit_rate
    return track


def _moved(heard: SoundSource, earlier: Fraction, limit: int | None) -> Iterator[Float]:
    """``[C, N]`` blocks from the first picture on: the start cut off, or silence before it."""
    cut = round(earlier * heard.rate_hz)
    left = -1 if limit is None else limit
    blocks = heard.blocks()
    waiting = -cut
    while waiting > 0:
        size = min(waiting, BLOCK)
        waiting -= size
        left -= size if limit is not None else 0
        yield np.zeros((len(heard.channels), size), np.float32)
    cut = max(cut, 0)
    for block in blocks:
        part = block[:, cut:]
        cut = max(cut - block.shape[1], 0)
        if limit is not None:
            part = part[:, : max(left, 0)]
            left -= part.shape[1]
        if part.shape[1]:
            yield part


def _encoded(blocks: Iterator[Float], track: Any, heard: SoundSource) -> Iterator[Any]:
    context = track.codec_context
    if context.sample_rate != heard.rate_hz:
        blocks = resampled(blocks, heard.rate_hz, context.sample_rate, heard.layout)
    if not context.is_open:
        context.open()
    fitter = av.AudioResampler(context.format, heard.layout, context.sample_rate, context.frame_size or None)
    count = 0
    for block in blocks:
        frame = sound_frame(block, heard.layout, context.sample_rate, count)
        count += block.shape[1]
        for piece in fitter.resample(frame):
            yield from track.encode(piece)
    if count:
        for piece in fitter.resample(None):
            yield from track.encode(piece)
    yield from track.encode(None)


def _end(source: InputContainer) -> Fraction | None:
    """Where the longest track ends in the file's own clock; None where the file does not tell."""
    if source.duration is None:
        return None
    begin = Fraction(source.start_time or 0, av.time_base)
    return begin + Fraction(source.duration, av.time_base)


def _name(source: InputContainer) -> str:
    return str(source.name).removeprefix("file:")
