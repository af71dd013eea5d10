"""Sound of a file as arrays on an exact sample clock; never re-timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from kouxing.errors import NoSoundError
from kouxing.media.opening import decoded, first_picture, opened, sound_stream
from kouxing.types import AudioClip, Float
from kouxing.units import SAMPLE_HZ

GAP_S = Fraction(1, 20)
"""Holes in the timestamps from this length on become silence; shorter ones are the containers' rounding."""

LONGEST_GAP_S = 600
"""Longer holes are damaged timestamps, not silence."""

CANCELLED = 0.003
"""Power of the mix by that of the loudest speaker (-25 dB), below which speakers take each other away."""

SILENCE_CHUNK = 1 << 16

MOST_PLANES = 7
"""Speakers whose samples lie apart: PyAV counts the planes of eight as nine, and reads beyond them."""

NO_PLACE = "NONE"
"""FFmpeg's name of a speaker of which nobody knows where it stands."""

MONO_GAINS = {"FL": 0.5, "FR": 0.5, "FC": 0.7, "BL": 0.3, "BR": 0.3, "SL": 0.3, "SR": 0.3, "BC": 0.3, "LFE": 0.0}
"""Weight of each speaker in the mono mix, before they are scaled to sum to 1."""


@dataclass(frozen=True)
class SoundSource:
    """An opened sound stream.

    Attributes:
        path: the file. rate_hz: its own rate. layout: FFmpeg's name of the speaker layout. channels: their names.
        stream: PyAV's stream, in ``container``.
    """

    path: Path
    rate_hz: int
    layout: str
    channels: tuple[str, ...]
    stream: Any
    container: InputContainer

    def blocks(self) -> Iterator[Float]:
        """``[C, N] float32``, -1..1, at the file's own rate; sample 0 is the first picture's time, or the first sample
        where the file has no picture. Late sound is preceded by silence, early sound is cut.

        Raises:
            NoSoundError: there is not one sample.
        """
        origin = first_picture(self.container)
        end = _end(self.container, self.stream)
        written = 0
        begun = False
        for frame in _uniform(decoded(self.container, self.stream), self.rate_hz, self.layout):
            block = floats(frame)
            gap = 0
            if frame.pts is not None and frame.time_base is not None:
                time = frame.pts * frame.time_base
                origin = time if origin is None else origin
                gap = round((time - origin) * self.rate_hz) - written
            if not begun or gap > GAP_S * self.rate_hz:
                begun = begun or gap + block.shape[1] > 0
                if gap < 0:
                    block = block[:, -gap:]
                elif gap < LONGEST_GAP_S * self.rate_hz:
                    written += gap
                    yield from _silence(block.shape[0], gap)
            if end is not None:
                block = block[:, : max(0, round((end - (origin or 0)) * self.rate_hz) - written)]
            if block.shape[1]:
                written += block.shape[1]
                yield block
        if not written:
            raise NoSoundError(f"{self.path} has a sound track of 0 s; give a file with sound")

    def mono(self) -> Iterator[Float]:
        """``[N] float32`` at the file's own rate: the speakers' weighted mean; or the loudest one alone, where they
        take each other away (one voice with opposite signs, of a balanced line that was plugged in as two)."""
        gains = np.array([MONO_GAINS.get(name, 0.3) for name in self.channels], np.float32)
        gains = gains / gains.sum() if gains.sum() > 0 else np.full(len(gains), 1 / len(gains), np.float32)
        apart, mixed = np.zeros(len(gains)), 0.0
        for block in self.blocks():
            if block.shape[0] == 1:
                yield block[0]
                continue
            mix = gains @ block
            apart += np.square(block, dtype=np.float64).sum(1)
            mixed += float(np.square(mix, dtype=np.float64).sum())
            yield mix if mixed >= CANCELLED * apart.max() else block[int(apart.argmax())]


@contextmanager
def opened_sound(path: Path) -> Iterator[SoundSource]:
    """Open the best sound stream of a file.

    Raises:
        MediaError: the file cannot be read. NoSoundError: it has no sound.
    """
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None or not stream.codec_context.sample_rate:
            raise NoSoundError(f"{path} has no sound; give a file with a sound track")
        stream.thread_type = "AUTO"
        layout = stream.codec_context.layout
        names = tuple(channel.name for channel in layout.channels)
        yield SoundSource(Path(path), stream.codec_context.sample_rate, layout.name, names, stream, container)


def read_sound(path: Path, rate_hz: int = SAMPLE_HZ) -> Iterator[Float]:
    """The file's sound, lazily.

    Args:
        path: any file that FFmpeg reads. rate_hz: rate to deliver.

    Yields:
        ``[N] float32`` mono chunks, -1..1. Sample 0 is the time of the file's first picture, or its first sample where
        it has no picture. Altogether exactly ``round(seconds * rate_hz)`` samples.

    Raises:
        MediaError: the file cannot be read. NoSoundError: it has no sound, or sound of 0 s.
    """
    with opened_sound(path) as source:
        chunks = source.mono()
        if source.rate_hz != rate_hz:
            blocks = resampled((chunk[None] for chunk in chunks), source.rate_hz, rate_hz, "mono")
            chunks = (block[0] for block in blocks)
        yield from chunks


def load_sound(path: Path, rate_hz: int = SAMPLE_HZ) -> AudioClip:
    """All of ``read_sound`` in memory: 230 MB for an hour at 16 kHz."""
    return AudioClip(np.concatenate(list(read_sound(path, rate_hz))), rate_hz)


def resampled(blocks: Iterator[Float], rate_hz: int, wanted_hz: int, layout: str) -> Iterator[Float]:
    """``[C, N] float32`` blocks at another rate; ``round(N * wanted_hz / rate_hz)`` samples altogether."""
    resampler = av.AudioResampler("flt", layout, wanted_hz)
    taken, given = 0, 0
    for block in blocks:
        frame = sound_frame(block, layout, rate_hz, taken)
        taken += block.shape[1]
        for piece in resampler.resample(frame):
            given += piece.samples
            yield floats(piece)
    if not taken:
        return
    rest = [floats(piece) for piece in resampler.resample(None)]
    missing = round(Fraction(taken * wanted_hz, rate_hz)) - given
    if missing > 0:
        rest.append(np.zeros((av.AudioLayout(layout).nb_channels, missing), np.float32))
        yield np.concatenate(rest, axis=1)[:, :missing].astype(np.float32)


def sound_frame(block: Float, layout: str, rate_hz: int, pts: int) -> av.AudioFrame:
    """PyAV's frame of a ``[C, N] float32`` block; ``pts`` in samples."""
    packed = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, pts, Fraction(1, rate_hz)
    return frame


def _end(container: InputContainer, stream: Any) -> Fraction | None:
    """Where the sound ends in the file's own clock; only MP4 tells it exactly (coders pad their last packet)."""
    if "mp4" not in container.format.name or not stream.duration:
        return None
    return Fraction(((stream.start_time or 0) + stream.duration) * stream.time_base)


def _uniform(frames: Iterator[Any], rate_hz: int, layout: str) -> Iterator[Any]:
    """The frames with one rate and layout; where these change within the file, the later part is converted."""
    resampler, source = None, None
    for frame in frames:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        readable = not frame.format.is_planar or frame.layout.nb_channels <= MOST_PLANES
        if kind[1:] == (layout, rate_hz) and readable:
            yield frame
            continue
        if kind != source:
            resampler, source = av.AudioResampler("flt", layout, rate_hz), kind
        if resampler is not None:
            yield from resampler.resample(frame)


def floats(frame: Any) -> Float:
    """``[C, N] float32``, -1..1, of a frame in any sample format; planes apart of at most ``MOST_PLANES`` speakers."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    if samples.dtype.kind == "i":
        return (samples.astype(np.float32) / float(-int(np.iinfo(samples.dtype).min))).astype(np.float32)
    return samples.astype(np.float32)


def _silence(channels: int, count: int) -> Iterator[Float]:
    while count > 0:
        length = min(count, SILENCE_CHUNK)
        count -= length
        yield np.zeros((channels, length), np.float32)
