from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kouxing.face.mask import mask, shown
from kouxing.face.patch import first_column
from kouxing.units import CROP_PX, PATCH_PX, PLACED_PX

IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@given(st.floats(-300, 600), st.floats(-300, 600))
def test_it_lies_in_the_crop_on_the_networks_columns(right: float, left: float) -> None:
    first = first_column(np.array([right, 90.0]), np.array([left, 95.0]))
    assert 0 <= first <= CROP_PX - PATCH_PX and first % PLACED_PX == 0
    middle = (right + left) / 2
    if PATCH_PX / 2 <= middle <= CROP_PX - PATCH_PX / 2:
        assert abs(first + PATCH_PX / 2 - middle) <= PLACED_PX / 2


def test_without_a_face_it_is_somewhere() -> None:
    assert first_column(np.full(2, np.nan), np.zeros(2)) == 0


@given(st.floats(60, 200), st.floats(120, 240))
def test_nothing_is_pasted_that_is_not_painted(middle: float, width: float) -> None:
    angle = np.linspace(np.pi, 0, 21)
    jaw = np.stack([middle + width / 2 * np.cos(angle), 92 + 113 * np.sin(angle)], 1).astype(np.float32)
    around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    lips = (np.stack([np.cos(around), np.sin(around)], 1) * (30, 14) + (middle, 165)).astype(np.float32)
    area = shown(mask(IDENTITY, jaw, lips))
    assert area is not None
    first = first_column(jaw[0], jaw[-1])
    assert first < area[0] and area[2] < first + PATCH_PX
