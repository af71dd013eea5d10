"""Augmentation of sound in the log-mel domain (level, equaliser, noise, voice, tempo) and of pictures.

Pictures get another gamma, brightness and colour cast, and a small affine move.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.signal import lfilter

from kouxing.audio.features import LOG_SCALE, LOG_SHIFT, SILENT_MEL
from kouxing.types import Bytes, Float
from kouxing.units import CROP_PX, MEL_BANDS, MEL_HZ

Rng = np.random.Generator


def tempo(mel: Float, rows: Float, rng: Rng, most: float = 0.15) -> tuple[Float, Float]:
    """Stretch mel ``[4T, 80]`` and rows ``[T, D]`` of the same moment by a common random factor."""
    factor = 1.0 + rng.uniform(-most, most)
    frames = max(2, round(len(rows) * factor))
    per_frame = len(mel) // len(rows)
    return resample(mel, frames * per_frame), resample(rows, frames)


def resample(values: Float, count: int) -> Float:
    """Rows ``[N, ...]`` drawn out or pressed together to ``count`` rows, linearly."""
    places = (np.arange(count) + 0.5) * len(values) / count - 0.5
    low = np.clip(np.floor(places).astype(int), 0, len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    share = np.clip(places - low, 0, 1)[:, None].astype(np.float32)
    return values[low] * (1 - share) + values[high] * share


def voice(mel: Float, rng: Rng, most: float = 0.15) -> Float:
    """Another vocal tract: bands move up or down by a common factor."""
    places = np.arange(MEL_BANDS) * (1.0 + rng.uniform(-most, most))
    low = np.clip(np.floor(places).astype(int), 0, MEL_BANDS - 1)
    high = np.minimum(low + 1, MEL_BANDS - 1)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    return mel[:, low] * (1 - share) + mel[:, high] * share


def recording(mel: Float, noise: Float, rng: Rng) -> Float:
    """Another microphone, level and background.

    Args:
        mel: ``[M, 80]`` speech.
        noise: ``[M, 80]`` another recording, or hiss, at about the same level.
        rng: source of chance.
    """
    power = mel * LOG_SCALE - LOG_SHIFT
    knots = rng.normal(0, 1.0, 6)
    curve = np.interp(np.linspace(0, 5, MEL_BANDS), np.arange(6), knots)
    power = power + curve.astype(np.float32)
    if rng.random() < 0.6:
        snr = rng.uniform(3, 30) * np.log(10) / 10
        loud = np.percentile(power, 90) - np.percentile(noise, 90) * LOG_SCALE + LOG_SHIFT
        power = np.logaddexp(power, noise * LOG_SCALE - LOG_SHIFT + loud - snr)
    power = power + rng.uniform(-20, 8) * np.log(10) / 10
    return np.maximum((power + LOG_SHIFT) / LOG_SCALE, SILENT_MEL).astype(np.float32)


def room(mel: Float, rng: Rng) -> Float:
    """Echo: every band's power rings on for 0.1 to 0.7 s, 4 to 18 dB under the direct sound."""
    power = np.exp(mel * LOG_SCALE - LOG_SHIFT)
    ring = float(np.exp(-np.log(1e6) / (rng.uniform(0.1, 0.7) * MEL_HZ)))
    tail = lfilter([0.0, 1.0 - ring], [1.0, -ring], power, axis=0)
    wet = 10 ** (-rng.uniform(4, 18) / 10)
    return np.asarray((np.log(power + wet * tail + 1e-12) + LOG_SHIFT) / LOG_SCALE, np.float32)


def channel(mel: Float, rng: Rng) -> Float:
    """Telephone, old codec, noise gate: no highs, no lows, or nothing below a floor; each at times."""
    mel = mel.copy()
    if rng.random() < 0.2:
        mel[:, int(rng.integers(MEL_BANDS // 2, MEL_BANDS)) :] -= rng.uniform(0.5, 3)
    if rng.random() < 0.2:
        mel[:, : int(rng.integers(1, MEL_BANDS // 10))] -= rng.uniform(0.3, 2)
    if rng.random() < 0.2:
        below = rng.uniform(25, 50) * np.log(10) / 10 / LOG_SCALE
        mel = np.maximum(mel, np.percentile(mel, 97) - below)
    return np.maximum(mel, SILENT_MEL).astype(np.float32)


def masked(mel: Float, rng: Rng, bands: int = 10, steps: int = 6) -> Float:
    """Up to two stripes of bands and two moments are blotted out (Park et al. 2019, SpecAugment)."""
    mel, middle = mel.copy(), mel.mean()
    for _ in range(int(rng.integers(0, 3))):
        first = int(rng.integers(0, MEL_BANDS - bands))
        mel[:, first : first + int(rng.integers(1, bands + 1))] = middle
    for _ in range(int(rng.integers(0, 3))):
        first = int(rng.integers(0, max(1, len(mel) - steps)))
        mel[first : first + int(rng.integers(1, steps + 1))] = middle
    return mel


def heard(mel: Float, noise: Float, rng: Rng) -> Float:
    """Another voice in another room through another device: all of the above, ``[M, 80]`` both."""
    mel = voice(mel, rng)
    if rng.random() < 0.1:
        mel = room(mel, rng)
    mel = recording(mel, noise, rng)
    if rng.random() < 0.2:
        mel = channel(mel, rng)
    return masked(mel, rng) if rng.random() < 0.2 else mel


def hiss(count: int, rng: Rng) -> Float:
    """Coloured noise ``[count, 80]`` in log-mel."""
    slope = np.linspace(0, rng.uniform(-1.0, 0.5), MEL_BANDS)
    return (slope + rng.gumbel(0, 0.25, (count, MEL_BANDS))).astype(np.float32)


def light(images: list[Bytes], rng: Rng) -> list[Bytes]:
    """The same random gamma, brightness and colour cast for all pictures ``[H, W, 3]`` of one sample."""
    gamma, gain = np.exp(rng.uniform(-0.35, 0.35)), np.exp(rng.uniform(-0.1, 0.1, 3) + rng.uniform(-0.2, 0.2))
    ramp = (np.arange(256) / 255.0) ** gamma
    table = np.clip(ramp[:, None] * gain * 255.0 + 0.5, 0, 255).astype(np.uint8)[None]
    return [np.asarray(cv2.LUT(image, table), np.uint8) for image in images]


def small_affine(rng: Rng) -> Float:
    """A small turn, size change and shift of a crop, ``[2, 3]``."""
    middle = CROP_PX / 2
    turn = np.asarray(
        cv2.getRotationMatrix2D((middle, middle), rng.uniform(-4, 4), rng.uniform(0.95, 1.06)), np.float64
    )
    turn[:, 2] += rng.uniform(-5, 5, 2)
    return turn.astype(np.float32)


def nudged(turn: Float, rng: Rng) -> Float:
    """An affine ``[2, 3]`` followed by a little squeeze, turn and shift, such as another head pose brings."""
    middle = CROP_PX / 2
    angle, shear = rng.normal(0, 0.03, 2)
    across, down = np.exp(rng.normal(0, 0.04, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    change = np.array([[across * cos, -sin + shear], [sin, down * cos]])
    shift = middle - change @ [middle, middle] + rng.normal(0, 3, 2)
    return np.asarray(np.column_stack([change @ turn[:, :2], change @ turn[:, 2] + shift]), np.float32)


def moved(image: Bytes, turn: Float) -> Bytes:
    """A crop ``[256, 256, 3]`` through an affine ``[2, 3]``; its edge repeats."""
    size = (CROP_PX, CROP_PX)
    return np.asarray(
        cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
