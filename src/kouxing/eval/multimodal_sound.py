"""Sound that is hard to hear, for ``evaluate multimodal``: noise and music at a given level, and holes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kouxing.audio.silence import silent_frames
from kouxing.eval import sync_corrupt
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

Rng = np.random.Generator
Spoiled = tuple[Float, "Bool | None"]
"""Samples, and the video frames of the hole where there is one."""
LEVELS_DB = (20, 15, 10, 5, 0, -5)
MUSIC_DB = 0
HOLE_FRAMES, HOLE_STEP = FRAME_HZ, 8
"""Video frames: a second is muted, at every place in the speech, so far apart."""
JUDGED_DB, DRAWS = 0, 3
"""Where the gain by a text is told, noise is drawn so often: one draw moves medians of fourteen clips by 0.04."""
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


def muted(samples: Float, first: int | None = None) -> tuple[Float, Bool]:
    """The sound without a second, and which video frames that is.

    Args:
        samples: ``[N]``.
        first: the hole's first video frame; by default it lies in the middle of the speech.
    """
    silent = silent_frames(samples, SAMPLE_HZ)
    if first is None:
        spoken = np.flatnonzero(~silent)
        middle = int(spoken.mean()) if len(spoken) else len(silent) // 2
        first = max(0, middle - HOLE_FRAMES // 2)
    hole = np.zeros(len(silent), bool)
    hole[first : first + HOLE_FRAMES] = True
    made = samples.copy()
    made[np.repeat(hole, SAMPLES_PER_FRAME)[: len(samples)]] = 0
    return made, hole


def holes(start_s: float, end_s: float) -> list[int | None]:
    """First video frames of all holes that fit into speech from ``start_s`` to ``end_s``; None: only the middle one."""
    return list(range(round(start_s * FRAME_HZ), round(end_s * FRAME_HZ) - HOLE_FRAMES + 1, HOLE_STEP)) or [None]


def spoiled(samples: Float, seed: int, firsts: Sequence[int | None] = (None,)) -> dict[str, list[Spoiled]]:
    """Every kind by its name -> one sound or several; the same seed spoils alike.

    At ``JUDGED_DB`` there are several, with other noise, and as many muted ones as holes.
    """
    rng = np.random.default_rng(seed)
    made: dict[str, list[Spoiled]] = {"clean": [(samples, None)]}
    for level in LEVELS_DB:
        made[f"{level} dB"] = [(over(samples, sync_corrupt.noise, level, rng), None)]
    made["music"] = [(over(samples, sync_corrupt.music, MUSIC_DB, rng), None)]
    made["dropped"] = [(dropped(samples, rng), None)]
    made["muted"] = [muted(samples, first) for first in firsts]
    made[f"{JUDGED_DB} dB"] += [(over(samples, sync_corrupt.noise, JUDGED_DB, rng), None) for _ in range(1, DRAWS)]
    return made
