"""What an emotion does to a face at full strength, set by hand after the action units of FACS.

There is no emotional footage to learn from: these offsets are taught to ``expression`` on top of real speech, so that
lips still move and close as the words want. Action units of the prototypes: Ekman and Friesen, FACS Investigator's
Guide (2002), table 10-1.
"""

from __future__ import annotations

import numpy as np

from kouxing.arkit import COEFFICIENTS, EMOTIONS, PLACE
from kouxing.face.closure import lip_distance
from kouxing.types import Float

_SIDED = {
    "happy": {"mouthSmile": 0.55, "cheekSquint": 0.4, "eyeSquint": 0.25, "mouthDimple": 0.1},
    "sad": {"mouthFrown": 0.45, "browDown": 0.1, "eyeLookDown": 0.15, "mouthStretch": 0.08},
    "angry": {"browDown": 0.65, "eyeSquint": 0.35, "noseSneer": 0.25, "mouthPress": 0.15, "mouthFrown": 0.15},
    "fearful": {"browOuterUp": 0.35, "eyeWide": 0.5, "mouthStretch": 0.35},
    "disgusted": {"noseSneer": 0.6, "mouthUpperUp": 0.2, "browDown": 0.3, "eyeSquint": 0.3, "mouthFrown": 0.2},
    "surprised": {"browOuterUp": 0.65, "eyeWide": 0.55},
}
_MIDDLE = {
    "sad": {"browInnerUp": 0.55, "mouthShrugLower": 0.2},
    "fearful": {"browInnerUp": 0.5},
    "surprised": {"browInnerUp": 0.6, "jawOpen": 0.08},
}
ACTION_UNITS = {
    "happy": "6 12",
    "sad": "1 4 15 17",
    "angry": "4 7 9 23 24",
    "fearful": "1 2 5 20",
    "disgusted": "4 7 9 10 15",
    "surprised": "1 2 5 26",
}
LIVELINESS = {"happy": 1.1, "sad": 0.8, "angry": 1.1, "surprised": 1.05}
"""How wide the mouth moves while speaking, against neutral; 1 where not named."""


def offsets() -> Float:
    """``[7, 52] float32``, rows as ``arkit.EMOTIONS``; neutral is 0."""
    table = np.zeros((len(EMOTIONS), len(COEFFICIENTS)), np.float32)
    for row, emotion in enumerate(EMOTIONS):
        for stem, value in _SIDED.get(emotion, {}).items():
            for side in ("Left", "Right"):
                table[row, PLACE[stem + side]] = value
        for name, value in _MIDDLE.get(emotion, {}).items():
            table[row, PLACE[name]] = value
    return table


def with_emotion(values: Float, shares: Float) -> Float:
    """Put emotions onto a speaking face; lips that touch keep touching.

    Args:
        values: ``[T, 52]`` coefficients of neutral speech.
        shares: ``[T, 7]`` or ``[7]``: how much of each emotion.

    Returns:
        ``[T, 52] float32``, 0..1. The lip distance is that of ``values``, times the emotions' liveliness.
    """
    shares = np.broadcast_to(shares, (len(values), len(EMOTIONS))).astype(np.float32)
    lively = shares @ np.array([LIVELINESS.get(name, 1.0) for name in EMOTIONS], np.float32)
    lively += 1 - shares.sum(1)
    more = shares @ offsets()
    made = values + more * (1 - values)
    wanted = np.maximum(lip_distance(values), 0) * lively
    missing = wanted - lip_distance(made)
    jaw, close = PLACE["jawOpen"], PLACE["mouthClose"]
    # What is too wide is taken from the jaw where lips are apart, by mouthClose where they touch.
    apart = lip_distance(values) > 1e-3
    made[:, jaw] += np.maximum(missing, 0) + np.where(apart, np.minimum(missing, 0), 0)
    made[:, close] += np.where(apart, 0, np.maximum(-missing, 0))
    return np.asarray(np.clip(made, 0, 1), np.float32)
