"""Sharpening to what the person's own pictures show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from face.people import frame_of
from face.test_mask import in_frame as placed_face
from face.test_mask import similarity
from infer.fake_parts import face
from kouxing.face.crop import apply, crop_face
from kouxing.face.paste import paste
from kouxing.infer import crispness
from kouxing.infer.crispness import LEAST, MOST, amount, sharpened
from kouxing.media.colour import to_rgb

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


@pytest.mark.parametrize("scale", [0.4, 0.63, 0.8, 1.2])
def test_what_a_frame_shows_of_a_crop_is_foretold(scale: float) -> None:
    # Of colours a frame keeps every second pixel.
    crop = np.repeat(pictures()[0][..., :1], 3, 2)
    matrix = similarity(scale, 0.0, 300.3, 300.7)
    jaw, lips = placed_face(matrix)
    pasted = paste(frame_of(np.full((600, 600, 3), 128, np.uint8)), crop, matrix, jaw, lips)
    seen, told = crop_face(to_rgb(pasted), matrix).image, crispness.in_frame(crop, scale)
    x, y = apply(matrix, lips).mean(0).astype(int)
    mouth = slice(y - 12, y + 12), slice(x - 20, x + 20)
    one, other = (cv2.Laplacian(image[mouth][..., 1], cv2.CV_32F).var() for image in (seen, told))
    assert 0.8 < one / other < 1.25


def test_small_faces_are_sharpened_by_what_the_frame_shows() -> None:
    real = pictures()
    # A camera's picture of a small face has no finer detail than the frame.
    real = [crispness.in_frame(image, 0.6) for image in real]
    assert amount(real, real, ANCHORS, 2.0) == LEAST
    assert LEAST < amount(real, real, ANCHORS, 2.0, [0.6] * 3) < 2.0


@pytest.mark.parametrize("place", [-500.0, 500.0])
def test_a_mouth_out_of_the_picture_is_no_reason_to_fail(place: float) -> None:
    real = pictures()
    assert LEAST <= amount(real, real, ANCHORS + place) <= MOST
