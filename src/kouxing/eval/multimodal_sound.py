"""Sound that is hard to hear, for ``evaluate multimodal``: noise and music at a given level, and holes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kouxing.audio.silence import silent_frames
from kouxing.eval import sync_corrupt
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

Rng = np.random.Generator
LEVELS_DB = (20, 15, 10, 5, 0, -5)
MUSIC_DB = 0
HOLE_S = 1.0
DROPPED_S, DROPS_A_SECOND = 0.15, 2
"""Lost packets: so long each, so many."""


def over(samples: Float, kind: Callable[[Float, Rng], Float], snr_db: float, rng: Rng) -> Float:
    """Speech over a background of ``eval.sync_corrupt``, ``snr_db`` under the mean power of its spoken frames."""
    silent = silent_frames(samples, SAMPLE_HZ)
    spoken = np.repeat(~silent, SAMPLES_PER_FRAME)[: len(samples)]
    background = kind(samples, rng) - samples
    power = float((samples[: len(spoken)][spoken] ** 2).mean()) if spoken.any() else float((samples**2).mean())
    gain = np.sqrt(power / max(float((background**2).mean()), 1e-12)) * 10 ** (-snr_db / 20)
    return np.asarray(samples + gain * background, np.float32)


def dropped(samples: Float, rng: Rng) -> Float:
    """Holes of ``DROPPED_S``, as lost packets leave them."""
    made = samples.copy()
    for _ in range(max(1, round(DROPS_A_SECOND * len(samples) / SAMPLE_HZ))):
        first = int(rng.integers(0, max(1, len(samples))))
        made[first : first + int(DROPPED_S * SAMPLE_HZ)] = 0
    return made


def muted(samples: Float) -> tuple[Float, Bool]:
    """The sound without a second in the middle of its speech, and which video frames that is."""
    silent = silent_frames(samples, SAMPLE_HZ)
    spoken = np.flatnonzero(~silent)
    middle = int(spoken.mean()) if len(spoken) else len(silent) // 2
    first = max(0, middle - int(HOLE_S * FRAME_HZ) // 2)
    hole = np.zeros(len(silent), bool)
    hole[first : first + int(HOLE_S * FRAME_HZ)] = True
    made = samples.copy()
    made[np.repeat(hole, SAMPLES_PER_FRAME)[: len(samples)]] = 0
    return made, hole


def spoiled(samples: Float, seed: int) -> dict[str, tuple[Float, Bool | None]]:
    """Every kind by its name -> samples, and the frames of the hole where there is one. The same seed spoils alike."""
    rng = np.random.default_rng(seed)
    made: dict[str, tuple[Float, Bool | None]] = {"clean": (samples, None)}
    for level in LEVELS_DB:
        made[f"{level} dB"] = over(samples, sync_corrupt.noise, level, rng), None
    made["music"] = over(samples, sync_corrupt.music, MUSIC_DB, rng), None
    made["dropped"] = dropped(samples, rng), None
    made["muted"] = muted(samples)
    return made
