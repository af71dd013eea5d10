"""Which frames stand as references (methods.md section 4, Reference choice): one rule for training and inference.

Like in head pose, unlike in mouth shape: out of the frames whose pose is nearest, one from each band of their mouth
openings, the sharpest there. The last band is narrow: only wide open mouths show teeth and tongue.
"""

from __future__ import annotations

import numpy as np

from kouxing.types import Bool, Float

REFERENCES = 3
NEAR_SHARE = 0.6
"""Share of the usable frames, nearest in pose, out of which references come."""
OPEN_SHARE = 0.12
"""Share of the frames near in pose whose mouths count as wide open."""
APART = 5
"""Frames (0.2 s) that a training reference keeps from its target; at inference there is no target."""


def choose(
    aperture: Float,
    pose: Float,
    like: Float,
    usable: Bool,
    sharpness: Float | None = None,
    rng: np.random.Generator | None = None,
    count: int = REFERENCES,
) -> list[int]:
    """Pick reference frames, ordered from closed to open.

    Args:
        aperture: ``[T]`` inner-lip gap over face width.
        pose: ``[T, P]`` numbers that stand for the head's turn, in crop pixels.
        like: ``[P]`` the pose to be near to: the target's, or the clip's median.
        usable: ``[T]`` frames that may be chosen.
        sharpness: ``[T]`` larger is sharper; the sharpest of a band is taken.
        rng: draws at random within the band instead (training).
        count: R.

    Returns:
        ``count`` frame numbers; the same one repeats when there are fewer than ``count`` usable frames.

    Raises:
        ValueError: no usable frame.
    """
    frames = np.flatnonzero(usable)
    if len(frames) == 0:
        raise ValueError("no usable frame to choose references from")
    distance = np.linalg.norm(pose[frames] - like, axis=-1)
    near = frames[np.argsort(distance, kind="stable")[: max(min(count, len(frames)), int(len(frames) * NEAR_SHARE))]]
    by_opening = near[np.argsort(aperture[near], kind="stable")]
    chosen: list[int] = []
    for band in _bands(by_opening, count):
        if len(band) == 0:
            chosen.append(chosen[-1] if chosen else int(by_opening[0]))
        elif rng is not None:
            chosen.append(int(rng.choice(band)))
        else:
            best = band if sharpness is None else band[np.argsort(-sharpness[band], kind="stable")]
            chosen.append(int(best[0]))
    return chosen


def _bands(by_opening: np.ndarray, count: int) -> list[np.ndarray]:
    """Frames from closed to open in ``count`` bands, the last one narrow, the others alike."""
    widest = max(1, round(len(by_opening) * OPEN_SHARE)) if count > 1 else len(by_opening)
    rest = by_opening[: len(by_opening) - widest]
    return [*np.array_split(rest, count - 1), by_opening[len(rest) :]] if count > 1 else [by_opening]
