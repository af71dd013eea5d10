"""Segments of one video -> one file with sound; pictures are copied as they are, sound is never re-timed."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from kouxing import config
from kouxing.errors import MediaError, OutputError
from kouxing.media import credentials
from kouxing.media.aside import aside, need_space
from kouxing.media.boxes import is_whole
from kouxing.media.metadata import COMPOSITE, SYNTHETIC_COMMENTS, mark_synthetic
from kouxing.media.opening import opened, video_stream
from kouxing.media.sound import NO_PLACE, SoundSource, floats, opened_sound, resampled, sound_frame
from kouxing.types import Float
from kouxing.units import FRAME_HZ

AAC_RATES_HZ = {fastest // part for fastest in (96_000, 88_200, 64_000) for part in (1, 2, 4, 8)} | {7350}
AAC_FRAME = 1024
AAC_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
OTHER_RATE_HZ = 48_000
"""Rate of sound that AAC has no rate for."""


@dataclass(frozen=True)
class _Plan:
    """What must be known of all segments before the first packet is written.

    Attributes:
        pts: times of all pictures in order, in ``time_base``.
        delay: how many pictures decoding runs ahead of showing (B-frames).
    """

    pts: array[int]
    delay: int
    time_base: Fraction
    rate: Fraction


def join(
    segments: Sequence[Path],
    out: Path,
    *,
    sound: Path | None = None,
    seconds: Fraction | None = None,
    metadata: Mapping[str, str] | None = None,
    mark: bool | str = False,
    title: str | None = None,
) -> None:
    """Write segments of one ``VideoWriter`` job as one MP4, their packets untouched and at their own times.

    Args:
        segments: in order; each begins after the one before ends.
        out: replaced if it exists; appears only when whole.
        sound: any file with sound; copied where it is AAC of the right length, else coded as AAC at its own rate and
            with its own mono or stereo (5.1 kept, other layouts to stereo).
        seconds: length of the sound: it is cut there, or followed by silence up to there. The last picture lasts until
            then. None: as long as the sound is.
        metadata: tags of the file, e.g. ``title``.
        mark: True marks it as partly made by a model; or the last word of the IPTC source type (``media.metadata``).
            What is marked is also signed, where a key is given (``media.credentials``).
        title: name under which it is signed, by default that of ``out``.

    Raises:
        OutputError: ``out`` cannot be written. MediaError: a segment or the sound cannot be read, segments do not fit.
    """
    plan = _plan(segments)
    # A signed file is made beside the one that it is of.
    copies = 2 if mark and config.load().signing is not None else 1
    length = copies * sum(path.stat().st_size for path in segments)
    need_space(Path(out), length + length // 50 + (24_000 * int(seconds or 0) if sound else 0))
    clock = str(plan.time_base.denominator)
    options = {"video_track_timescale": clock, "movie_timescale": clock, "movflags": "+faststart"}
    kind = str(mark) if isinstance(mark, str) else COMPOSITE
    with aside(Path(out)) as part:
        with opened(segments[0]) as first, av.open(f"file:{part}", "w", format="mp4", options=options) as container:
            container.metadata.update(metadata or {})
            if mark:
                container.metadata.setdefault("comment", SYNTHETIC_COMMENTS[kind])
            track = container.add_stream_from_template(video_stream(first))
            track.time_base = plan.time_base
            pictures = _pictures(segments, plan, track, seconds)
            if sound is None:
                _mux(container, pictures)
            else:
                with opened_sound(sound) as source:
                    _mux(container, pictures, _sound(container, source, seconds))
        if not is_whole(part):
            raise OutputError(f"{out} cannot be written: the file came out cut off; is the disk full?")
        if mark:
            mark_synthetic(part, kind)
            credentials.sign(part, kind, title or Path(out).name)


def _mux(container: OutputContainer, *tracks: Iterator[Any]) -> None:
    """Write packets of all tracks in the order of their time, so that none waits in memory for another."""
    for packet in heapq.merge(*tracks, key=lambda packet: (packet.dts or 0) * packet.time_base):
        container.mux(packet)


def _plan(segments: Sequence[Path]) -> _Plan:
    """Read all packet times once (8 bytes a picture); check that the segments belong together."""
    if not segments:
        raise ValueError("no segments")
    pts: array[int] = array("q")
    delay = 0
    head: tuple[Any, ...] | None = None
    rate, time_base = Fraction(FRAME_HZ), Fraction(1)
    for path in segments:
        with opened(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise MediaError(f"{path} has no picture; remove it and run again with --resume")
            context = stream.codec_context
            own = (stream.time_base, context.name, context.width, context.height, context.extradata)
            if head is not None and own != head:
                raise MediaError(f"{path} has other settings than {segments[0]}; start again without --resume")
            head = head or own
            rate, time_base = stream.average_rate or rate, Fraction(stream.time_base)
            times = [packet.pts for packet in _packets(container, stream)]
        order = sorted(times)
        if not order or (pts and order[0] <= pts[-1]):
            raise MediaError(f"{path} does not follow the segment before it; start again without --resume")
        place = {time: rank for rank, time in enumerate(order)}
        delay = max(delay, *(number - place[time] for number, time in enumerate(times)))
        pts.extend(order)
    return _Plan(pts, delay, time_base, Fraction(rate))


def _packets(container: InputContainer, stream: Any) -> Iterator[Any]:
    return (packet for packet in container.demux(stream) if packet.pts is not None and packet.size)


def _pictures(segments: Sequence[Path], plan: _Plan, track: Any, seconds: Fraction | None) -> Iterator[Any]:
    """All video packets, decode times made anew over the whole so that they rise across the joints."""
    step = max(1, round(1 / plan.rate / plan.time_base))
    last = round(seconds / plan.time_base) - plan.pts[-1] if seconds is not None else 0
    number = 0
    for path in segments:
        with opened(path) as container:
            for packet in _packets(container, video_stream(container)):
                early = number - plan.delay
                packet.dts = plan.pts[early] if early >= 0 else plan.pts[0] + early * step
                following = number + 1
                if following < len(plan.pts):
                    packet.duration = plan.pts[following] - plan.pts[number]
                else:
                    packet.duration = last if last > 0 else step
                packet.stream = track
                packet.time_base = plan.time_base
                number += 1
                yield packet


def _sound(container: OutputContainer, source: SoundSource, seconds: Fraction | None) -> Iterator[Any]:
    """Add the sound's track; returns its packets."""
    if _may_copy(source, seconds):
        track = container.add_stream_from_template(source.stream)
        return _copied(source, track)
    layout = AAC_LAYOUTS.get(len(source.channels), "stereo")
    rate = source.rate_hz if source.rate_hz in AAC_RATES_HZ else OTHER_RATE_HZ
    coded: Any = container.add_stream("aac", rate=rate)
    coded.codec_context.layout = layout
    # AAC allows 6144 bits a frame and channel; 96 kbit/s a channel is transparent for speech at any rate.
    coded.codec_context.bit_rate = min(96_000, 5 * rate) * len(av.AudioLayout(layout).channels)
    blocks = _fitted(source, layout, rate)
    return _coded(blocks, coded, layout, rate, seconds)


def _may_copy(source: SoundSource, seconds: Fraction | None) -> bool:
    """Whether the packets as they are give the sound that is wanted: AAC from MP4, from time 0, of that length."""
    stream = source.stream
    if stream.codec_context.name != "aac" or "mp4" not in source.container.format.name:
        return False
    picture = video_stream(source.container)
    if (stream.start_time or 0) != 0 or (picture is not None and (picture.start_time or 0) != 0):
        return False
    length = (stream.duration or 0) * stream.time_base
    return seconds is None or abs(length - seconds) < Fraction(AAC_FRAME, source.rate_hz)


def _copied(source: SoundSource, track: Any) -> Iterator[Any]:
    for packet in _packets(source.container, source.stream):
        packet.stream = track
        yield packet


def _fitted(source: SoundSource, layout: str, rate_hz: int) -> Iterator[Float]:
    """``[C, N]`` blocks with AAC's number of speakers and rate."""
    blocks = source.blocks()
    if len(source.channels) not in AAC_LAYOUTS:
        if NO_PLACE in source.channels:
            # FFmpeg has no table for such speakers.
            speakers = len(av.AudioLayout(layout).channels)
            blocks = (np.tile(mono, (speakers, 1)) for mono in source.mono())
        else:
            blocks = _mixed_down(blocks, source, layout)
    return blocks if rate_hz == source.rate_hz else resampled(blocks, source.rate_hz, rate_hz, layout)


def _mixed_down(blocks: Iterator[Float], source: SoundSource, layout: str) -> Iterator[Float]:
    """``[C, N] float32`` blocks by FFmpeg's own table, scaled so that a sound from all speakers is no louder than from
    one, as FFmpeg does for whole numbers; same rate, so sample for sample."""
    mixer = av.AudioResampler("flt", layout, source.rate_hz)

    def mixed(block: Float) -> Iterator[Float]:
        return (floats(piece) for piece in mixer.resample(sound_frame(block, source.layout, source.rate_hz, 0)))

    loudest = max(float(part.max()) for part in mixed(np.ones((len(source.channels), 1), np.float32)))
    for block in blocks:
        for part in mixed(block):
            yield part / np.float32(max(loudest, 1.0))


def _coded(blocks: Iterator[Float], track: Any, layout: str, rate_hz: int, seconds: Fraction | None) -> Iterator[Any]:
    limit = None if seconds is None else round(seconds * rate_hz)
    count = 0
    for block in _cut(blocks, limit, len(av.AudioLayout(layout).channels)):
        yield from track.encode(sound_frame(block, layout, rate_hz, count))
        count += block.shape[1]
    yield from track.encode(None)


def _cut(blocks: Iterator[Float], limit: int | None, channels: int) -> Iterator[Float]:
    """Exactly ``limit`` samples: cut, or silence after the end."""
    count = 0
    for block in blocks:
        block = block if limit is None else block[:, : limit - count]
        count += block.shape[1]
        if block.shape[1]:
            yield block
        if count == limit:
            return
    while limit is not None and count < limit:
        size = min(limit - count, 1 << 16)
        count += size
        yield np.zeros((channels, size), np.float32)
