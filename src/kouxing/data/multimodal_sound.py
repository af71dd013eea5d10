"""Sound spoiled until a text must carry on without it, and hearing as bad as that of people never heard before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment, sync_augment
from kouxing.data.phone_ear import background
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, MEL_BANDS, MELS_PER_FRAME

LOWEST_DB, HIGHEST_DB = -12.0, 20.0
"""Loud speech over its background."""
NOISY, BURST, SPEECH_SHAPED = 0.85, 0.2, 0.25
"""Shares: sounds with a background; backgrounds that come and go; backgrounds of steady noise with a voice's colour."""
MUTED, DROPPED = 0.35, 0.2
"""Shares of sounds that are gone for a while, and that have short holes, as lost packets leave them."""
MUTED_S, DROPPED_S = (0.3, 1.5), (0.05, 0.3)
DROPS_A_SECOND = 2.0
ALONE, STRANGE, STRANGER = 0.5, 0.7, 1.5
"""Most error of what is heard, in its own spread: of sound alone; beside a text or pictures, in clean sound; and what
is added to that where the sound can hardly be heard.

A stranger's mouth is told with r 0.76 in clean sound and 0.64 at 0 dB where these speakers' is told with 0.92 and 0.86
(docs/log.md): errors of 0.7 and 0.9 of the spread bring the one to the other.
"""


def worse(mel: Float, backgrounds: list[Float], rng: augment.Rng) -> tuple[Float, Bool]:
    """Another voice and microphone, mostly over a background, at times with holes.

    Args:
        mel: ``[4T, 80]``.
        backgrounds: other recordings.
        rng: source of chance.

    Returns:
        Mel ``[4T, 80]``, and where the sound is gone ``[T]``.
    """
    frames = len(mel) // MELS_PER_FRAME
    made = augment.voice(mel, rng)
    if rng.random() < NOISY:
        under = _under(len(mel), backgrounds, rng)
        noisy = sync_augment.noisy(made, under, rng.uniform(LOWEST_DB, HIGHEST_DB))
        if rng.random() < BURST:
            first, last = np.sort(rng.integers(0, len(mel) + 1, 2))
            made[first:last] = noisy[first:last]
        else:
            made = noisy
    curve = np.interp(np.linspace(0, 5, MEL_BANDS), np.arange(6), rng.normal(0, 0.25, 6)) + rng.uniform(-1.1, 0.45)
    made = np.maximum(made + curve, SILENT_MEL).astype(np.float32)
    gone = holes(frames, rng)
    made[np.repeat(gone, MELS_PER_FRAME)] = SILENT_MEL
    return made, gone


def _under(count: int, backgrounds: list[Float], rng: augment.Rng) -> Float:
    if rng.random() >= SPEECH_SHAPED:
        return background(backgrounds, count, rng)
    colour = backgrounds[rng.integers(len(backgrounds))].mean(0)
    return np.asarray(colour + rng.gumbel(0, 0.25, (count, MEL_BANDS)), np.float32)


def holes(frames: int, rng: augment.Rng) -> Bool:
    """Where the sound is gone, ``[frames]``."""
    gone = np.zeros(frames, bool)
    lengths = [rng.uniform(*MUTED_S)] if rng.random() < MUTED else []
    if rng.random() < DROPPED:
        lengths += list(rng.uniform(*DROPPED_S, max(1, round(DROPS_A_SECOND * frames / FRAME_HZ))))
    for seconds in lengths:
        length = min(frames, max(1, round(seconds * FRAME_HZ)))
        first = int(rng.integers(0, frames - length + 1))
        gone[first : first + length] = True
    return gone


def strange(rows: Float, rng: augment.Rng, most: float = STRANGE) -> Float:
    """What the networks hear of a stranger: they learned from these very clips, and are too good on them.

    Args:
        rows: ``[T, D]``. rng: source of chance. most: error, in spreads of ``rows``.
    """
    knots = rng.normal(0, 1, (max(2, len(rows) // 5), rows.shape[1])).astype(np.float32)
    error = augment.resample(knots, len(rows)) * rng.uniform(0, most) * (rows.std(0) + 0.02)
    return np.asarray(rows * np.exp(rng.normal(0, 0.15)) + error, np.float32)


def harm(clean: NDArray[np.floating], clear: NDArray[np.floating]) -> float:
    """How much less surely sounds are told apart than in the clean version, 0..1; both ``[T, 6]``."""
    return float(np.clip(clean[:, -2] - clear[:, -2], 0, 1).mean()) if len(clear) else 0.0
