"""Which columns of a crop's lower half are painted: around the face, for nothing beside it is ever pasted."""

from __future__ import annotations

import numpy as np

from kouxing.types import Float
from kouxing.units import CROP_PX, PATCH_PX, PLACED_PX


def first_column(right: Float, left: Float) -> int:
    """The first of ``PATCH_PX`` columns.

    Args:
        right, left: ``[2]``, the face's edges, crop pixels.
    """
    middle = (float(right[0]) + float(left[0])) / 2
    first = PLACED_PX * round((middle - PATCH_PX / 2) / PLACED_PX) if np.isfinite(middle) else 0
    return int(np.clip(first, 0, CROP_PX - PATCH_PX))
