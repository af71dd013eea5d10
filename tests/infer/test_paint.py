"""Painting a frame: what of it is cut out for the network."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kouxing.infer.paint import crop_of
from kouxing.media.colour import planes_from_rgb
from kouxing.media.reader import RGB_COLOUR
from kouxing.types import VideoFrame
from kouxing.units import HALF_PX


@pytest.mark.parametrize("scale", [0.3, 0.9, 2.5])
def test_the_upper_half_alone_is_the_whole_crops(scale: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (360, 480, 3), np.uint8)
    frame = VideoFrame(planes_from_rgb(picture, RGB_COLOUR), 0, Fraction(1, 25), RGB_COLOUR)
    matrix = np.array([[scale, -0.05, 10], [0.05, scale, -15]], np.float32)
    whole, upper = crop_of(frame, matrix), crop_of(frame, matrix, HALF_PX)
    np.testing.assert_array_equal(upper[:HALF_PX], whole[:HALF_PX])
    assert whole[HALF_PX:].any() and not upper[HALF_PX:].any()
