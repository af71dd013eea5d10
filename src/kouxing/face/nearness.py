"""Heard lips that come near each other touch: an encoder that follows the mean never quite closes a mouth."""

from __future__ import annotations

from kouxing.face import geometry
from kouxing.face.closure import drawn_together
from kouxing.types import Float

TYPICAL_PX = 14.2
"""Opening of speech's wide mouths in crop pixels (``face.closure.TYPICAL_GAP`` of a face 171 px wide): it stays."""
NEAR_PX = 3.8
"""Heard openings under this become closed lips; chosen on held-out training speakers for avatars (docs/log.md)."""


def touching(features: Float) -> Float:
    """Features ``[..., D]`` with openings stretched away from the typical one until near ones are closed."""
    opened = geometry.opening(features)
    return geometry.widened(features, drawn_together(opened, NEAR_PX, TYPICAL_PX) - opened)
