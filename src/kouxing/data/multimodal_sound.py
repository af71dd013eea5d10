"""Sound spoiled until a text must carry on without it, and hearing as bad as that of people never heard before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kouxing.data import augment
from kouxing.data.sound_spoil import spoiled
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLES_PER_FRAME

RANGE_DB, NOISY = (-12.0, 20.0), 0.85
"""Speech over its background, and how often there is one."""
MUTED, DROPPED = 0.35, 0.2
"""Shares of sounds that are gone for a while, and that have short holes, as lost packets leave them."""
MUTED_S, DROPPED_S = (0.3, 1.5), (0.05, 0.3)
DROPS_A_SECOND = 2.0
ALONE, STRANGE, STRANGER = 0.3, 0.2, 0.6
"""Most error of what is heard, in its own spread: of sound alone; beside a text or pictures, in clean sound; and what
is added to that where the sound can hardly be heard. Strangers are heard less well than the people of these very clips,
which the ears learned from (docs/log.md).
"""


def worse(samples: Float, others: Sequence[Float], rng: np.random.Generator) -> tuple[Float, Bool]:
    """Another microphone, mostly over a background, at times with holes.

    Args:
        samples: ``[T * SAMPLES_PER_FRAME]``. others: recordings that may lie behind. rng: source of chance.

    Returns:
        Samples, as many, and where the sound is gone ``[T]``.
    """
    made = spoiled(samples, others, rng, RANGE_DB, NOISY)
    gone = holes(len(samples) // SAMPLES_PER_FRAME, rng)
    made[np.repeat(gone, SAMPLES_PER_FRAME)] = 0
    return made, gone


def hissing(samples: Float, rng: np.random.Generator) -> Float:
    """Pink noise as loud as the sound, ``[N]``."""
    hiss = np.fft.rfft(rng.normal(0, 1, len(samples))) / np.sqrt(np.maximum(np.arange(len(samples) // 2 + 1), 1))
    behind = np.fft.irfft(hiss, len(samples))
    power = float((samples.astype(np.float64) ** 2).mean() / max((behind**2).mean(), 1e-12))
    return np.asarray(samples + np.sqrt(power) * behind, np.float32)


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
