"""Rates, hops and sizes: each stated once, the others derived by exact division.

Suffixes name the unit: ``_S`` seconds, ``_MS`` milliseconds, ``_HZ`` per second, ``_PX`` pixels.
"""

from fractions import Fraction

SAMPLE_HZ = 16_000
"""Speech sample rate inside the models (mono)."""

FRAME_HZ = 25
"""Video frame rate inside the models; media keep their own rate."""

MEL_HZ = 100
"""Log-mel frames per second."""

MEL_BANDS = 80

WINDOW_MS = 25
"""Length of one mel analysis window."""

CROP_PX = 256
"""Side of the upright face crop."""

COEFFICIENT_HZ = 60
"""Rate of animation coefficients."""


def exact(whole: int, part: int) -> int:
    """``whole / part`` where the division leaves no rest.

    Raises:
        ValueError: the division is not exact.
    """
    if whole % part:
        raise ValueError(f"{whole} is not a multiple of {part}")
    return whole // part


HOP = exact(SAMPLE_HZ, MEL_HZ)
"""Samples between two mel frames."""

WINDOW = exact(SAMPLE_HZ * WINDOW_MS, 1000)
"""Samples in one mel analysis window."""

MELS_PER_FRAME = exact(MEL_HZ, FRAME_HZ)
SAMPLES_PER_FRAME = exact(SAMPLE_HZ, FRAME_HZ)
FRAME_S = Fraction(1, FRAME_HZ)
HALF_PX = exact(CROP_PX, 2)
"""First row of the crop's lower half: from here on the generator paints."""

PATCH_PX = 208
"""Columns of the lower half that the generator paints in use: the widest patch that is pasted needs 202."""

PLACED_PX = 4
"""The generator places its warps once in so many pixels: a patch begins on such a column."""
