"""What is transparent, laid over white as planes, so that depth and colours stay those of the file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.media.colour import Planes, bits_of, chroma_step
from kouxing.types import Colour, Float

HDR_WHITE = {16: 0.58, 18: 0.75}
"""Where white lies in luma's span by FFmpeg's number of the transfer (PQ, HLG; ITU-R BT.2408); elsewhere at its end."""


def over_white(planes: Planes, cover: Float, colour: Colour) -> Planes:
    """The planes over white; where ``cover`` is 1 samples stay as they are.

    Args:
        cover: ``[h, w]`` float32, 0..1; a chroma sample takes the mean of what it covers.
    """
    step_x, step_y = chroma_step(colour.pixel_format)
    height, width = cover.shape
    padded = np.pad(cover, ((0, -height % step_y), (0, -width % step_x)), "edge")
    cells = padded.reshape(planes[1].shape[0], step_y, planes[1].shape[1], step_x).mean((1, 3))
    unit = 2 ** (bits_of(colour.pixel_format) - 8)
    black, span = (0, 256 * unit - 1) if colour.full_range else (16 * unit, 219 * unit)
    white = round(black + HDR_WHITE.get(colour.tags[3], 1.0) * span)
    luma = _mixed(planes[0], cover, white)
    return luma, _mixed(planes[1], cells, 128 * unit), _mixed(planes[2], cells, 128 * unit)


def _mixed(plane: NDArray[Any], share: Float, back: int) -> NDArray[Any]:
    return np.rint(back + (plane.astype(np.float32) - back) * share).astype(plane.dtype)
