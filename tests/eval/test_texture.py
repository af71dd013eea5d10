"""The perceptual distance and the octaves of detail, on pictures whose faults are known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from kouxing.eval import texture
from kouxing.types import Bytes

LOWER = np.zeros((256, 256), bool)
LOWER[128:] = True


@pytest.fixture(scope="module")
def picture() -> Bytes:
    """Grain at every scale on slow shades."""
    rng = np.random.default_rng(0)
    image = np.full((256, 256), 120.0)
    for size, strength in ((8, 40), (32, 20), (128, 12), (256, 8)):
        image += cv2.resize(rng.normal(0, strength, (size, size)), (256, 256), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, 2)


def blurred(image: Bytes, by: float) -> Bytes:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), by), np.uint8)


def test_distance_grows_with_blur_and_with_foreign_content(picture: Bytes) -> None:
    found = [texture.distance(blurred(picture, by), picture, LOWER) for by in (0.6, 1.5, 4.0)]
    foreign = texture.distance(picture[:, ::-1].copy(), picture, LOWER)
    assert texture.distance(picture, picture, LOWER) == 0
    assert 0 < found[0] < found[1] < found[2] and foreign > found[1]


def test_distance_overlooks_light_and_what_lies_outside(picture: Bytes) -> None:
    brighter = np.clip(picture.astype(int) + 6, 0, 255).astype(np.uint8)
    assert texture.distance(brighter, picture, LOWER) < 0.02
    spoiled = picture.copy()
    spoiled[:100] = 0
    assert texture.distance(spoiled, picture, LOWER) == 0
    assert math.isnan(texture.distance(picture, picture, np.zeros_like(LOWER)))


def test_blur_takes_the_finest_octave_first(picture: Bytes) -> None:
    box = (60, 140, 200, 240)
    real, soft = texture.bands(picture, box), texture.bands(blurred(picture, 1.0), box)
    shares = [a / b for a, b in zip(soft, real, strict=True)]
    assert len(shares) == len(texture.BANDS)
    assert shares[0] < 0.5 < shares[2] < 1 and shares[0] < shares[1] < shares[2]
    assert all(math.isnan(value) for value in texture.bands(picture, (5, 5, 6, 9)))
