"""Media made by code: videos, sounds and pictures of every kind that the tests ask for, small and exact.

Nothing here uses ``kouxing``: what the reader says about these files is checked against what was put in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = Callable[[int], NDArray[np.uint8]]
"""Frame number -> ``[h, w, 3] uint8`` RGB."""

VIDEO_CODECS = {".webm": "libvpx", ".avi": "mpeg4", ".gif": "gif", ".mpg": "mpeg1video"}
SOUND_CODECS = {".avi": "pcm_s16le", ".mkv": "pcm_s16le", ".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame"}
SOUND_CODECS |= {".webm": "libopus", ".ogg": "libopus", ".opus": "libopus", ".mpg": "mp2"}


def stripes(size: tuple[int, int]) -> Picture:
    """A smooth coloured picture with a bright bar that moves 4 px a frame, so that every frame differs."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    base = np.stack([60 + 120 * x, 60 + 120 * y, 180 - 100 * x * y], axis=-1)

    def picture(number: int) -> NDArray[np.uint8]:
        image = base.copy()
        left = (number * 4) % max(1, width - 8)
        image[:, left : left + 8] = (230, 220, 210)
        return image.astype(np.uint8)

    return picture


def corners(size: tuple[int, int]) -> Picture:
    """Top left red, top right green, bottom left blue, bottom right white: shows how a picture is turned."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 200, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    image[height // 2 :, width // 2 :] = (235, 235, 235)
    return lambda number: image


def frame_times(frames: int, rate: Fraction, vfr: bool, seed: int = 0) -> list[Fraction]:
    """Exact times from 0: even, or, with ``vfr``, with steps of 1 to 4 frame lengths."""
    if not vfr:
        return [number / rate for number in range(frames)]
    steps = np.random.default_rng(seed).integers(1, 5, frames)
    starts = np.concatenate([[0], np.cumsum(steps)[:-1]])
    return [int(start) / rate for start in starts]


def make_video(
    path: Path,
    *,
    frames: int = 25,
    size: tuple[int, int] = (160, 120),
    rate: Fraction | int = Fraction(25),
    pix_fmt: str = "yuv420p",
    codec: str | None = None,
    sound_rate: int | None = None,
    sound_seconds: float | None = None,
    layout: str = "mono",
    kind: str = "tone",
    samples: NDArray[np.float32] | None = None,
    vfr: bool = False,
    times: Sequence[Fraction] | None = None,
    rotation: int = 0,
    picture: Picture | None = None,
    tags: tuple[int, int, int, int] | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> list[Fraction]:
    """Write a video; the container follows the suffix (.mp4 .mkv .mov .webm .avi .ts .mpg .gif).

    Args:
        size: width, height as stored (before rotation).
        codec: FFmpeg's encoder name; H.264 or what the suffix needs.
        sound_rate: Hz of the sound track; None for no sound.
        sound_seconds: length of the sound; as long as the picture where None.
        samples: ``[N]`` of the sound at ``sound_rate``, in place of ``kind`` and ``sound_seconds``.
        vfr: uneven frame times (see ``frame_times``); ``times`` gives them one by one instead.
        rotation: degrees counter-clockwise of the display matrix, a multiple of 90 (.mp4 and .mov only).
        picture: frame number -> RGB; ``stripes(size)`` where None.
        tags: FFmpeg's numbers of colorspace, range, primaries, transfer.
        options: encoder options. muxer: container options.

    Returns:
        The exact time of every frame in seconds.
    """
    rate = Fraction(rate)
    shown = list(times) if times is not None else frame_times(frames, rate, vfr)
    paint = picture or stripes(size)
    base = 1 / rate
    for time in shown:
        base = Fraction(1, np.lcm(base.denominator, time.denominator))
    suffix = path.suffix.lower()
    with av.open(str(path), "w", options=dict(muxer or {})) as out:
        stream: Any = out.add_stream(codec or VIDEO_CODECS.get(suffix, "libx264"), rate=rate)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], pix_fmt
        base = 1 / rate if suffix in {".avi", ".mpg"} else base
        stream.codec_context.time_base = base
        stream.codec_context.options = _encoder_options(stream.codec_context.name, options)
        if tags:
            context = stream.codec_context
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        sound = _add_sound(out, suffix, sound_rate, layout) if sound_rate else None
        for number, time in enumerate(shown):
            frame = _yuv_frame(paint(number), pix_fmt, tags)
            frame.pts, frame.time_base = int(time / base), base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None and sound_rate:
            length = sound_seconds if sound_seconds is not None else float(shown[-1] + 1 / rate)
            _encode(out, sound, wave(kind, length, sound_rate) if samples is None else samples, layout)
    if rotation:
        _turn_track(path, rotation)
    return shown


def make_sound(path: Path, seconds: float, rate: int = 16_000, layout: str = "mono", kind: str = "speechlike") -> None:
    """Write a sound file (.wav .flac .mp3 .m4a .aac .ogg .opus .mkv).

    Args:
        kind: ``tone`` (220 Hz), ``noise``, ``silence`` or ``speechlike`` (see ``wave``).
    """
    with av.open(str(path), "w") as out:
        stream = _add_sound(out, path.suffix.lower(), rate, layout)
        out.start_encoding()
        _encode(out, stream, wave(kind, seconds, rate), layout)


def wave(kind: str, seconds: float, rate: int, seed: int = 0) -> NDArray[np.float32]:
    """``[N] float32``: a tone, noise, silence, or something speech-like.

    Speech-like: a 120 Hz voice through two moving formants, four syllables a second, with a pause in each second.
    """
    count = round(seconds * rate)
    t = np.arange(count) / rate
    rng = np.random.default_rng(seed)
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind == "tone":
        return (0.4 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)
    if kind == "noise":
        return (0.2 * rng.standard_normal(count)).clip(-1, 1).astype(np.float32)
    if kind != "speechlike":
        raise ValueError(f"unknown kind {kind}")
    first, second = 500 + 250 * np.sin(2 * np.pi * 2 * t), 1500 + 500 * np.sin(2 * np.pi * 1.3 * t)
    voice = np.zeros(count)
    for harmonic in range(1, 31):
        pitch = 120 * harmonic
        if pitch < rate / 2:
            gain = np.exp(-(((pitch - first) / 200) ** 2)) + 0.5 * np.exp(-(((pitch - second) / 300) ** 2))
            voice += gain * np.sin(2 * np.pi * pitch * t)
    syllable = np.clip(np.sin(2 * np.pi * 4 * t), 0, 1) * ((t % 1.0) < 0.75)
    return (0.25 * voice * syllable).clip(-1, 1).astype(np.float32)


def best_shift(samples: NDArray[np.float32], want: NDArray[np.float32], most: int = 2000) -> int:
    """Samples by which ``samples`` come later than ``want``."""
    size = 1 << 17
    product = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(want, size)), size)
    return int(np.argmax(np.concatenate([product[-most:], product[:most]]))) - most


def make_picture(
    path: Path,
    size: tuple[int, int] = (160, 120),
    picture: Picture | None = None,
    orientation: int = 1,
    alpha: bool = False,
) -> None:
    """Write a still (.png .jpg .bmp .webp).

    Args:
        orientation: EXIF orientation 1..8 (JPEG only).
        alpha: the right half is fully transparent, over black (PNG only).
    """
    image = (picture or stripes(size))(0)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if alpha:
        cover = np.full(image.shape[:2], 255, np.uint8)
        cover[:, image.shape[1] // 2 :] = 0
        pixels = np.dstack([np.where(cover[..., None] > 0, pixels, 0), cover])
    data = cv2.imencode(path.suffix, pixels)[1].tobytes()
    if orientation != 1:
        data = data[:2] + _exif(orientation) + data[2:]
    path.write_bytes(data)


def _exif(orientation: int) -> bytes:
    """An APP1 segment with the one tag 0x0112."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    body = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _encoder_options(name: str, options: dict[str, str] | None) -> dict[str, str]:
    if name == "libx264":
        return {"preset": "ultrafast", "crf": "10"} | (options or {})
    if name.startswith("libvpx"):
        return {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M"} | (options or {})
    return dict(options or {})


def _yuv_frame(image: NDArray[np.uint8], pix_fmt: str, tags: tuple[int, int, int, int] | None) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    if pix_fmt == "rgb24":
        return frame
    matrix = "ITU709" if tags and tags[0] == 1 else "ITU601"
    spread = "JPEG" if pix_fmt.startswith("yuvj") or (tags and tags[1] == 2) else "MPEG"
    if "yuv" not in pix_fmt:
        return frame.reformat(format=pix_fmt)
    return frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=spread)


def _turn_track(path: Path, rotation: int) -> None:
    """Write a display matrix into the first track's header (``tkhd``)."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation % 360]
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    start += 52 if data[start] == 1 else 40
    one = 1 << 16
    numbers = (cosine * one, -sine * one, 0, sine * one, cosine * one, 0, 0, 0, 1 << 30)
    data[start : start + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(data)


def _add_sound(out: Any, suffix: str, rate: int, layout: str) -> Any:
    stream = out.add_stream(SOUND_CODECS.get(suffix, "aac"), rate=rate)
    stream.codec_context.layout = layout
    return stream


def _encode(out: Any, stream: Any, samples: NDArray[np.float32], layout: str) -> None:
    """The same wave in every channel, through whatever sample format the encoder takes."""
    if not stream.codec_context.is_open:
        stream.codec_context.open()
    resampler = av.AudioResampler(
        stream.codec_context.format, layout, stream.codec_context.sample_rate, stream.codec_context.frame_size or None
    )
    channels = av.AudioLayout(layout).nb_channels
    rate = stream.codec_context.sample_rate
    for start in range(0, len(samples), rate):
        chunk = np.repeat(samples[None, start : start + rate], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for piece in resampler.resample(frame):
            out.mux(stream.encode(piece))
    if len(samples):
        for piece in resampler.resample(None):
            out.mux(stream.encode(piece))
    out.mux(stream.encode(None))
