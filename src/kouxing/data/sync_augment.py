"""Augmentation of the sync discriminator's windows: light in stages 1 and 2, hard in 3 (methods.md section 3)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from kouxing.audio.features import LOG_SCALE, LOG_SHIFT, SILENT_MEL
from kouxing.data import augment
from kouxing.types import Bytes, Float
from kouxing.units import MEL_BANDS, MEL_HZ

Rng = np.random.Generator
DB = np.log(10) / 10
"""Natural logarithm of power per decibel."""


def noisy(mel: Float, noise: Float, snr_db: float) -> Float:
    """Background ``noise [M, 80]`` under speech ``mel [M, 80]``, ``snr_db`` below its loud parts."""
    power, other = mel * LOG_SCALE - LOG_SHIFT, noise * LOG_SCALE - LOG_SHIFT
    loud = np.percentile(power, 90) - np.percentile(other, 90)
    mixed = np.logaddexp(power, other + loud - snr_db * DB)
    return np.asarray((mixed + LOG_SHIFT) / LOG_SCALE, np.float32)


def music(count: int, rng: Rng) -> Float:
    """Notes with overtones that follow each other, ``[count, 80]`` log-mel, some of them drums."""
    mel = np.full((count, MEL_BANDS), -3.0, np.float32)
    bands = np.arange(MEL_BANDS)
    for _ in range(int(rng.integers(1, 4))):
        place = 0
        while place < count:
            length = int(rng.uniform(0.1, 0.6) * MEL_HZ)
            tone, fall = rng.uniform(3, 20), rng.uniform(0, 4)
            comb = np.max([np.exp(-0.5 * ((bands - tone * k**0.7) / 0.8) ** 2) * 0.8**k for k in range(1, 9)], 0)
            if rng.random() < 0.2:
                comb, fall = np.full(MEL_BANDS, 0.7), 12.0
            steps = np.arange(min(length, count - place))[:, None] / MEL_HZ
            mel[place : place + len(steps)] = np.maximum(
                mel[place : place + len(steps)], 3.0 * comb[None] - 1.5 - fall * steps
            )
            place += length
    return mel


def _coloured(mel: Float, rng: Rng) -> Float:
    """Another microphone and level."""
    curve = np.interp(np.linspace(0, 5, MEL_BANDS), np.arange(6), rng.normal(0, 1.0, 6)) / LOG_SCALE
    return np.asarray(mel + curve + rng.uniform(-18, 8) * DB / LOG_SCALE, np.float32)


def heard(mel: Float, noise: Float, rng: Rng, hard: bool) -> Float:
    """Another voice through another device; ``hard``: in an echoing room with noise or music.

    Args:
        mel: ``[M, 80]``.
        noise: ``[M, 80]``, another recording or hiss.
        rng: source of chance.
        hard: stage 3.
    """
    mel = augment.voice(mel, rng)
    if rng.random() < (0.35 if hard else 0.05):
        mel = augment.room(mel, rng)
    if rng.random() < (0.65 if hard else 0.4):
        if hard and rng.random() < 0.3:
            noise = music(len(mel), rng)
        mel = noisy(mel, noise, rng.uniform(-2, 20) if hard else rng.uniform(12, 30))
    mel = _coloured(mel, rng)
    if rng.random() < (0.35 if hard else 0.1):
        mel = augment.channel(mel, rng)
    if rng.random() < 0.2:
        mel = augment.masked(mel, rng, steps=4)
    return np.maximum(mel, SILENT_MEL).astype(np.float32)


def seen(pictures: Bytes, rng: Rng, hard: bool) -> Bytes:
    """The same random turn, size, mirror and light for all pictures ``[T, H, W]`` of a window.

    ``hard``: also blur, few pixels, compression, much or little light, and something in front of the mouth.
    """
    height, width = pictures.shape[1:]
    middle = (width / 2, height / 2)
    turn = np.asarray(
        cv2.getRotationMatrix2D(middle, float(rng.normal(0, 4)), float(np.exp(rng.normal(0, 0.06)))), np.float64
    )
    turn[:, :2] *= np.exp(rng.normal(0, 0.04, 2))[:, None]
    turn[:, 2] = np.array(middle) - turn[:, :2] @ middle + rng.normal(0, 2.0, 2)
    if rng.random() < 0.5:
        turn = turn @ np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], float)
    table = _light(rng, hard)
    result = np.empty_like(pictures)
    change = _spoiler(height, width, rng) if hard and rng.random() < 0.6 else None
    for place, picture in enumerate(pictures):
        moved = cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        still: Bytes = np.asarray(moved, np.uint8)
        result[place] = cv2.LUT(change(still) if change else still, table)
    if rng.random() < 0.3:
        grain = rng.normal(0, rng.uniform(1, 10 if hard else 4), (2, *result.shape[1:]))
        noise = grain[np.arange(len(result)) % 2] * rng.choice([-1, 1], (len(result), 1, 1))
        result = np.asarray(np.clip(result + noise, 0, 255), np.uint8)
    if rng.random() < (0.25 if hard else 0.1):
        _cover(result, rng)
    return result


def _light(rng: Rng, hard: bool) -> Bytes:
    reach = 2.0 if hard else 1.0
    gamma, gain = np.exp(rng.uniform(-0.35, 0.35) * reach), np.exp(rng.uniform(-0.3, 0.25) * reach)
    ramp = (np.arange(256) / 255.0) ** gamma * gain + rng.uniform(-0.08, 0.08) * reach
    return np.clip(ramp * 255 + 0.5, 0, 255).astype(np.uint8)


def _spoiler(height: int, width: int, rng: Rng) -> Callable[[Bytes], Bytes]:
    """One way to lose detail, for all pictures of a window."""
    kind = rng.integers(3)
    sigma, factor = float(rng.uniform(0.5, 2.5)), float(rng.uniform(1.5, 4.0))
    small = (max(4, round(width / factor)), max(4, round(height / factor)))
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(5, 40))]

    def spoiled(picture: Bytes) -> Bytes:
        if kind == 0:
            changed = cv2.GaussianBlur(picture, (0, 0), sigma)
        elif kind == 1:
            changed = cv2.resize(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), (width, height))
        else:
            changed = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_GRAYSCALE)
        return np.asarray(changed, np.uint8)

    return spoiled


def _cover(pictures: Bytes, rng: Rng) -> None:
    height, width = pictures.shape[1:]
    tall, wide = int(rng.integers(6, height // 2)), int(rng.integers(6, width // 3))
    top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    pictures[:, top : top + tall, left : left + wide] = int(rng.integers(0, 256))
