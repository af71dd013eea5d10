from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.face.crop import apply, invert
from kouxing.face.mask import mask, placed
from kouxing.types import Float
from kouxing.units import CROP_PX, HALF_PX

FACE_PX = 163.0


def similarity(scale: float, angle: float, x: float, y: float) -> Float:
    """[2, 3] frame -> crop with the frame's (x, y) in the crop's middle and ``scale`` frame pixels a crop pixel."""
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    middle = CROP_PX / 2
    return np.array([[cos, -sin, middle - (cos * x - sin * y)], [sin, cos, middle - (sin * x + cos * y)]], np.float32)


def face(chin: float = 205.0, turn: float = 0.0) -> tuple[Float, Float]:
    """Jaw [21, 2] and lips [40, 2] of an average face in crop pixels; ``turn`` shifts the lips sideways."""
    angle = np.linspace(np.pi, 0, 21)
    jaw = np.stack([128 + FACE_PX / 2 * np.cos(angle), 92 + (chin - 92) * np.sin(angle)], 1)
    around = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    ring = np.stack([np.cos(around), np.sin(around)], 1)
    lips = np.concatenate([ring * (30, 14), ring * (20, 6)]) + np.array([128 + turn, 165])
    return jaw.astype(np.float32), lips.astype(np.float32)


def in_frame(matrix: Float, chin: float = 205.0, turn: float = 0.0) -> tuple[Float, Float]:
    jaw, lips = face(chin, turn)
    back = invert(matrix)
    return apply(back, jaw), apply(back, lips)


faces = st.builds(similarity, st.floats(0.2, 6), st.floats(-3.1, 3.1), st.floats(-300, 1000), st.floats(-300, 800))


@given(faces, st.floats(185, 260), st.floats(-45, 45))
def test_covers_the_mouth_and_nothing_that_is_not_painted(matrix: Float, chin: float, turn: float) -> None:
    jaw, lips = in_frame(matrix, chin, turn)
    alpha = mask(matrix, jaw, lips)
    assert alpha.shape == (CROP_PX, CROP_PX) and alpha.dtype == np.float32
    assert alpha.min() == 0 and alpha.max() <= 1
    assert not alpha[: HALF_PX + 1].any()
    assert not alpha[-1].any() and not alpha[:, 0].any() and not alpha[:, -1].any()
    x, y = np.rint(face(chin, turn)[1]).astype(int).T
    assert alpha[y, x].min() > 0.97


def test_follows_the_jaw_with_room_for_a_wider_mouth() -> None:
    matrix = similarity(1.5, 0.1, 400, 300)
    for chin in (190.0, 205.0, 225.0):
        column = mask(matrix, *in_frame(matrix, chin))[:, CROP_PX // 2]
        half = np.flatnonzero(column > 0.5).max() - chin
        assert 0.05 * FACE_PX < half < 0.09 * FACE_PX
        assert not column[int(chin + 0.14 * FACE_PX) :].any()


def test_feathers_without_steps() -> None:
    matrix = similarity(1.0, 0.0, 300, 300)
    alpha = mask(matrix, *in_frame(matrix))
    assert max(np.abs(np.diff(alpha, axis=0)).max(), np.abs(np.diff(alpha, axis=1)).max()) < 0.25
    band = np.count_nonzero((alpha[:, 128] > 0) & (alpha[:, 128] < 1))
    assert 18 <= band <= 30  # two edges of about 12 pixels


def test_moves_smoothly_with_the_jaw() -> None:
    matrix = similarity(1.0, 0.0, 300, 300)
    first, second = (mask(matrix, *in_frame(matrix, chin)) for chin in (205.0, 205.3))
    assert 0 < np.abs(first - second).max() < 0.1


@given(faces)
def test_in_the_frame_it_is_the_same_mask(matrix: Float) -> None:
    jaw, lips = in_frame(matrix)
    alpha = mask(matrix, jaw, lips)
    place = placed(alpha, matrix, 640, 360)
    whole = cv2.warpAffine(alpha, matrix, (640, 360), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    if place is None:
        assert not whole.any()
        return
    (x0, y0, x1, y1), part = place
    assert 0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 360
    assert np.abs(part - whole[y0:y1, x0:x1]).max() < 0.02
    whole[y0:y1, x0:x1] = 0
    assert not whole.any()


@pytest.mark.parametrize("broken", ["matrix", "jaw", "lips", "flat"])
def test_no_face_no_mask(broken: str) -> None:
    matrix = similarity(1.0, 0.0, 300, 300)
    jaw, lips = in_frame(matrix)
    if broken == "flat":
        matrix = np.zeros((2, 3), np.float32)
    else:
        {"matrix": matrix, "jaw": jaw, "lips": lips}[broken][0, 0] = np.nan
    assert not mask(matrix, jaw, lips).any()
