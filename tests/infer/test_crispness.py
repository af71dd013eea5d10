"""Sharpening to what the person's own pictures show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from infer.fake_parts import face
from kouxing.infer.crispness import LEAST, MOST, amount, sharpened

ANCHORS = np.stack([face(4.0)[1]] * 3).astype(np.float32)


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    soft = [cv2.GaussianBlur(rng.normal(128, 40, (256, 256, 3)).astype(np.float32), (0, 0), 1.5) for _ in range(3)]
    return [cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8) for image in soft]


def detail(image: np.ndarray) -> float:
    """In the mouth's middle."""
    x, y = (ANCHORS[0, 4] + (0, 0.227 * np.linalg.norm(ANCHORS[0, 6] - ANCHORS[0, 7]))).astype(int)
    return float(
        cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[y - 15 : y + 15, x - 22 : x + 22].var()
    )


def test_a_blurred_mouth_is_sharpened_until_it_looks_like_the_real_one() -> None:
    real = pictures()
    given = {spread: [cv2.GaussianBlur(image, (0, 0), spread) for image in real] for spread in (0.4, 0.7, 3.0)}
    found = {spread: amount(images, real, ANCHORS) for spread, images in given.items()}
    assert LEAST == found[0.4] < found[0.7] < found[3.0] == MOST
    made = sharpened(given[0.7][0], found[0.7], ANCHORS[0])
    assert detail(given[0.7][0]) < 0.7 * detail(real[0])
    assert 0.85 * detail(real[0]) < detail(made) < detail(real[0])


def test_only_the_mouth_is_sharpened_and_rows_below_alone_give_the_same() -> None:
    image = pictures()[0]
    made = sharpened(image, 0.5, ANCHORS[0])
    changed = np.argwhere((made != image).any(2))
    width = np.linalg.norm(ANCHORS[0, 6] - ANCHORS[0, 7])
    assert len(changed) > 500
    assert np.ptp(changed[:, 0]) < 0.5 * width and np.ptp(changed[:, 1]) < 0.7 * width
    # The oval may begin above the lower half; beside that edge a blur sees other rows.
    lower = sharpened(image[128:], 0.5, ANCHORS[0], 128)
    np.testing.assert_array_equal(lower[4:], made[132:])


def test_a_sharp_mouth_is_left_nearly_alone() -> None:
    real = pictures()
    assert amount(real, real, ANCHORS) == LEAST
    assert sharpened(real[0], 0, ANCHORS[0]) is real[0]


@pytest.mark.parametrize("place", [-500.0, 500.0])
def test_a_mouth_out_of_the_picture_is_no_reason_to_fail(place: float) -> None:
    real = pictures()
    assert LEAST <= amount(real, real, ANCHORS + place) <= MOST
