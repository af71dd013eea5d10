"""A reference take's manner, plainly: how much brows, cheeks and corners of the mouth move, and how far lips open.

The network's own styles are small, since what tells people apart in ten seconds is mostly how much of each thing they
do. So what it says is scaled, too: a channel's movement over a whole speech to that of the take. What is 0 stays 0, so
that lips that touch still touch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kouxing.arkit import PLACE
from kouxing.face.closure import lip_distance
from kouxing.types import CoefficientTrack, Float

PAIRS = (
    "browDown", "browOuterUp", "cheekSquint", "noseSneer", "eyeSquint", "eyeWide", "mouthSmile", "mouthFrown",
    "mouthDimple", "mouthStretch",
)  # fmt: skip
ALONE = ("browInnerUp", "cheekPuff")
"""What is manner; other channels are the sounds that are said, or where one looks."""
OPENING = (
    "jawOpen", "mouthClose", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip
LEAST, MOST = 0.5, 6.0
NARROWEST, WIDEST = 0.7, 1.4
"""Bounds of the gains; lips carry the speech, and keep more of their own."""
REST = 0.1
"""Quantile of a channel that is taken for the face at rest: a resting face of one's own is no manner."""
NOTHING = 0.004
"""Movement that nobody sees."""


def like(track: CoefficientTrack, take: CoefficientTrack) -> CoefficientTrack:
    """``track`` with as much movement as ``take`` has, as far as that is manner.

    Args:
        track: a whole speech.
        take: of whom to speak like; from 10 s on it tells most.
    """
    values = track.values.copy()
    for places in [(PLACE[f"{name}Left"], PLACE[f"{name}Right"]) for name in PAIRS] + [(PLACE[one],) for one in ALONE]:
        # Both sides by one factor: nobody's face becomes lopsided by what cannot be told from 10 s.
        wanted, there = (_movement(one.values[:, places]) for one in (take, track))
        values[:, places] *= float(np.clip((wanted + NOTHING) / (there + NOTHING), LEAST, MOST))
    wanted, there = (_movement(lip_distance(one.values)[:, None]) for one in (take, track))
    values[:, [PLACE[name] for name in OPENING]] *= float(
        np.clip((wanted + NOTHING) / (there + NOTHING), NARROWEST, WIDEST)
    )
    return replace(track, values=np.clip(values, 0, 1))


def _movement(columns: Float) -> float:
    """Mean over rows and columns of what lies over rest."""
    return float(np.maximum(columns - np.quantile(columns, REST, axis=0), 0).mean())
