"""Augmentation of sound in the log-mel domain (level, equaliser, noise, voice, tempo) and of pictures.

Pictures get another gamma, brightness and colour cast, and a small affine move.
"""

from __future__ import annotations

import cv2
import numpy as np

from kouxing.audio.features import LOG_SCALE, LOG_SHIFT, SILENT_MEL
from kouxing.types import Bytes, Float
from kouxing.units import CROP_PX, MEL_BANDS

Rng = np.random.Generator


def tempo(mel: Float, rows: Float, rng: Rng, most: float = 0.15) -> tuple[Float, Float]:
    """Stretch mel ``[4T, 80]`` and rows ``[T, D]`` of the same moment by a common random factor."""
    factor = 1.0 + rng.uniform(-most, most)
    frames = max(2, round(len(rows) * factor))
    per_frame = len(mel) // len(rows)
    return _resample(mel, frames * per_frame), _resample(rows, frames)


def _resample(values: Float, count: int) -> Float:
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


def small_affine(rng: Rng) -> np.ndarray:
    """A small turn, size change and shift of a crop, ``[2, 3]``."""
    middle = CROP_PX / 2
    turn = np.asarray(
        cv2.getRotationMatrix2D((middle, middle), rng.uniform(-4, 4), rng.uniform(0.95, 1.06)), np.float64
    )
    turn[:, 2] += rng.uniform(-5, 5, 2)
    return turn


def picture(images: list[Bytes], rng: Rng) -> tuple[list[Bytes], Float]:
    """``light`` and one ``small_affine`` for all crops ``[256, 256, 3]`` of one sample; also gives the affine."""
    turn = small_affine(rng)
    size = (CROP_PX, CROP_PX)
    moved = [
        np.asarray(cv2.warpAffine(lit, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        for lit in light(images, rng)
    ]
    return moved, turn.astype(np.float32)
