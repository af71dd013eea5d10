"""A face without its mouth tells nothing of it."""

from __future__ import annotations

import numpy as np

from kouxing.face.no_mouth import no_mouth, region


def test_whatever_the_mouth_does_the_picture_is_the_same() -> None:
    rng = np.random.default_rng(0)
    face = rng.integers(60, 200, (256, 256, 3), dtype=np.uint8)
    other = face.copy()
    inside = region() == 1
    other[inside] = rng.integers(0, 255, (int(inside.sum()), 3))
    assert np.array_equal(no_mouth(face), no_mouth(other))


def test_lips_and_chin_lie_inside_and_the_upper_half_stays() -> None:
    away = region()
    # The outermost lips and chins of the training footage's crops, with a few pixels to spare.
    for x, y in ((85, 160), (180, 160), (128, 133), (128, 235), (100, 222), (156, 222)):
        assert away[y, x] == 1
    face = np.random.default_rng(1).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    made = no_mouth(face)
    assert np.array_equal(made[:116], face[:116]) and (made[away == 0] == face[away == 0]).all()


def test_the_fill_is_of_the_skin_around() -> None:
    face = np.full((256, 256, 3), (180, 120, 90), np.uint8)
    face[170:200, 100:156] = (20, 0, 0)
    assert np.abs(no_mouth(face).astype(int) - (180, 120, 90)).max() <= 2
