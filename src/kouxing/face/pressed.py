"""Lips at rest: what the painting network is asked for in silence."""

from __future__ import annotations

import numpy as np

from kouxing.face import geometry
from kouxing.types import Float

PRESSED_PX = 6.0
"""At rest lips are pressed by so much: 0 is the person's smallest gap while filmed, which is no closed mouth in people
who never close theirs (docs/log.md)."""
STILL = 0.5
"""Size of a feature within which it counts as rest; speech's are several times that."""


def pressed(features: Float) -> Float:
    """Features ``[..., D]`` with lips pressed where they are at rest; what speech asks for stays as it is."""
    lips = features[..., : geometry.GEOMETRY]
    still = np.exp(-np.square(lips / STILL).sum(-1))
    return geometry.widened(features, -PRESSED_PX * still)
