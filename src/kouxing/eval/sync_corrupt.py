"""What sync must survive: footage spoiled in six ways, alike for every discriminator that is compared.

Sound is spoiled as samples and pictures as crops, by other code than training uses.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scipy.signal import fftconvolve

from kouxing.types import Bytes, Float
from kouxing.units import SAMPLE_HZ

Rng = np.random.Generator
NOISE_DB = MUSIC_DB = 5.0
"""Speech over noise and over music."""
ECHO_S = 0.6
"""Time in which the room's echo falls by 60 dB."""
BLUR_PX = 4.0
JPEG_QUALITY = 8
DARK_GAMMA, DARK_GAIN = 2.0, 0.6


def noise(samples: Float, rng: Rng) -> Float:
    """Pink noise."""
    spectrum = np.fft.rfft(rng.normal(0, 1, len(samples)))
    spectrum = spectrum / np.sqrt(np.maximum(1.0, np.arange(len(spectrum))))
    return _under(samples, np.fft.irfft(spectrum, len(samples)).astype(np.float32), NOISE_DB)


def music(samples: Float, rng: Rng) -> Float:
    """Chords of three plucked notes, two a second, and a drum."""
    times = np.arange(SAMPLE_HZ // 2) / SAMPLE_HZ
    beats = []
    for _ in range(-(-len(samples) // len(times))):
        root = 110.0 * 2 ** (rng.integers(0, 24) / 12)
        chord = sum(
            np.sin(2 * np.pi * root * ratio * part * times) * np.exp(-3 * part * times) / part
            for ratio in (1.0, 1.26, 1.5)
            for part in range(1, 6)
        )
        beats.append(chord + 2.0 * rng.normal(0, 1, len(times)) * np.exp(-40 * times))
    return _under(samples, np.concatenate(beats)[: len(samples)].astype(np.float32), MUSIC_DB)


def echo(samples: Float, rng: Rng) -> Float:
    """A room: noise that dies away, behind the direct sound."""
    times = np.arange(int(ECHO_S * SAMPLE_HZ)) / SAMPLE_HZ
    room = rng.normal(0, 1, len(times)) * 10 ** (-3 * times / ECHO_S)
    room *= 0.8 / np.sqrt((room**2).sum())
    room[0] = 1.0
    return np.asarray(fftconvolve(samples, room)[: len(samples)], np.float32)


def _under(samples: Float, other: Float, lead_db: float) -> Float:
    power = np.sqrt((samples.astype(np.float64) ** 2).mean() / max(1e-12, float((other**2).mean())))
    return np.asarray(samples + other * power * 10 ** (-lead_db / 20), np.float32)


def compression(crop: Bytes) -> Bytes:
    """A crop that was JPEG."""
    data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def blur(crop: Bytes) -> Bytes:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), BLUR_PX), np.uint8)


def brightness(crop: Bytes) -> Bytes:
    """Too dark."""
    return np.asarray(((crop / 255.0) ** DARK_GAMMA * DARK_GAIN * 255).round(), np.uint8)


SOUND: dict[str, Callable[[Float, Rng], Float]] = {"noise": noise, "music": music, "echo": echo}
PICTURE: dict[str, Callable[[Bytes], Bytes]] = {"compression": compression, "blur": blur, "brightness": brightness}
