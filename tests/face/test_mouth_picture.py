"""The discriminator's picture is the mouth's region of the crop, grey and half as large."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX, mouth_picture, mouth_pictures


def test_region_and_grey() -> None:
    crop = np.zeros((256, 256, 3), np.uint8)
    crop[120:216, 64:192] = (30, 60, 90)
    picture = mouth_picture(crop)
    assert picture.shape == (HEIGHT_PX, WIDTH_PX) == (48, 64) and picture.dtype == np.uint8
    assert np.unique(picture).tolist() == [round(0.299 * 30 + 0.587 * 60 + 0.114 * 90)]
    crop[:120], crop[216:], crop[:, :64], crop[:, 192:] = 255, 255, 255, 255
    np.testing.assert_array_equal(mouth_picture(crop), picture)


def test_several_none_and_wrong_shapes() -> None:
    assert mouth_pictures([]).shape == (0, 48, 64)
    assert mouth_pictures(np.zeros((3, 256, 256, 3), np.uint8)).shape == (3, 48, 64)
    with pytest.raises(ValueError, match="256"):
        mouth_picture(np.zeros((128, 128, 3), np.uint8))
