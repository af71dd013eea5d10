"""Clips for the sync discriminator made by code: a bright bar that rises with a curve, and bands that move along."""

from __future__ import annotations

import numpy as np

from kouxing.data.manifest import Clip
from kouxing.data.mouths import Mouths
from kouxing.units import MEL_BANDS


def made(name: str, seed: int, frames: int = 80) -> Mouths:
    """One clip of a speaker of its own, in step."""
    rng = np.random.default_rng(seed)
    curve = np.convolve(rng.normal(0, 1, frames + 6), np.ones(3) / 3, "same")[3:-3]
    curve = (curve - curve.min()) / np.ptp(curve)
    pictures = np.full((frames, 48, 64), 60, np.uint8)
    mel = np.full((frames, 4, MEL_BANDS), -1.0, np.float32)
    for t, value in enumerate(curve):
        pictures[t, 24 - int(2 + 16 * value) : 24 + int(2 + 16 * value), 16:48] = 220
        mel[t, :, : 8 + int(60 * value)] = 1.0
    row = Clip(name, "train", name, "en", frames / 25, "open", "made")
    flat = mel.reshape(-1, MEL_BANDS) + rng.normal(0, 0.05, (frames * 4, MEL_BANDS)).astype(np.float32)
    shapes = np.zeros((frames, 16), np.float32)
    shapes[:, 0] = curve
    return Mouths(row, pictures, flat, shapes, curve.astype(np.float32), np.zeros(frames, bool), np.ones(frames, bool))
