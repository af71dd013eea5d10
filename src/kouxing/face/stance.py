"""Where the head's steady points lie in the crop: tells the generator how the head is turned, and nothing of the mouth.

The crop is upright and of one size already, so what is left of eyes, nose and face edges is turn, nod and face shape.
"""

from __future__ import annotations

import numpy as np

from kouxing.face.landmarks import CHIN
from kouxing.types import ANCHORS, Float
from kouxing.units import HALF_PX

STEADY = tuple(place for place in range(ANCHORS) if place != CHIN)
"""Anchors that speech does not move; the chin would give the answer away."""
STANCE = 2 * len(STEADY)


def stance(anchors: Float) -> Float:
    """Numbers that stand for the head's turn.

    Args:
        anchors: ``[..., 8, 2]`` in crop pixels (``FaceTrack.anchors`` through the crop's matrix).

    Returns:
        ``[..., 14] float32``: x and y of the steady points in halves of the crop, 0 in its middle.
    """
    points = anchors[..., STEADY, :] / HALF_PX - 1
    return np.asarray(points.reshape(*anchors.shape[:-2], STANCE), np.float32)
