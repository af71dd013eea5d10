"""Mouth pictures without their light: what the mouth encoder of ``multimodal`` sees."""

from __future__ import annotations

import numpy as np

from kouxing.types import Bool, Bytes, Float

DARKEST = 0.02
"""Least contrast, in shares of white: what is flatter is no picture of a mouth and is not blown up."""


def even_light(pictures: Bytes, found: Bool | None = None) -> Float:
    """``[T, H, W] uint8`` grey of one video -> ``float32`` about zero mean and unit spread over all of it.

    Args:
        pictures: see ``face.mouth_picture``.
        found: ``[T]``: which of them show a face; the others do not count. By default all do.
    """
    grey = pictures.astype(np.float32) / 255
    seen = grey if found is None else grey[found]
    if not seen.size:
        return np.zeros_like(grey)
    return np.asarray((grey - seen.mean()) / (seen.std() + DARKEST), np.float32)
