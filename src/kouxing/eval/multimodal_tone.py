"""Is the voice's tone kept? What a linear map reads of it from the joint mouth feature.

No recordings with labelled emotions are there to probe; loudness and colour (spectral slope) are what emotion changes
most in a voice and what can be measured in every recording.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kouxing.types import Float

TONES = ("loudness", "slope")
RIDGE = 10.0


def tone(mel: Float) -> Float:
    """Loudness and spectral slope of ``[T, 80]`` log-mel: ``[T, 2]``."""
    half = mel.shape[1] // 2
    return np.stack([mel.mean(1), mel[:, half:].mean(1) - mel[:, :half].mean(1)], 1)


def probe(learn: tuple[Float, Float], judged: tuple[Float, Float]) -> dict[str, float]:
    """R² of ridge regression.

    Args:
        learn, judged: mouth features ``[N, D]`` and tones ``[N, 2]``, of different recordings.
    """
    (x, y), (a, b) = learn, judged
    middle, scale = x.mean(0), x.std(0) + 1e-3
    x, a = (np.column_stack([(rows - middle) / scale, np.ones(len(rows))]) for rows in (x, a))
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    told = 1 - ((a @ weights - b) ** 2).mean(0) / np.maximum(b.var(0), 1e-9)
    return {name: float(value) for name, value in zip(TONES, told, strict=True)}


def tone_figures(clips: Sequence[tuple[Float, Float]]) -> dict[str, float]:
    """``tone_loudness_r2`` and ``tone_slope_r2``, learned on every other clip and judged on the rest.

    Args:
        clips: mouth features ``[T, D]`` and mean log-mel ``[T, 80]`` of each clip.
    """
    rows = [(joint, tone(mel)) for joint, mel in clips]
    halves = [rows[::2], rows[1::2]]
    if not halves[1]:
        return {}
    learn, judged = (tuple(np.concatenate(parts) for parts in zip(*half, strict=True)) for half in halves)
    told = probe((learn[0], learn[1]), (judged[0], judged[1]))
    return {f"tone_{name}_r2": round(value, 4) for name, value in told.items()}
