"""The square of a clip: right pixels from every kind of picture, its edge repeated where the picture ends."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from kouxing.infer.prepare.cut import camera_pose, cropped, size_of
from kouxing.infer.prepare.plan import LARGEST_PX
from kouxing.media.colour import planes_from_rgb, to_rgb
from kouxing.types import Colour, VideoFrame


def smooth(width: int, height: int) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([60 + 120 * x, 60 + 120 * y, 180 - 100 * x * y], -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(160, 120), (161, 119)])
@pytest.mark.parametrize("kind", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "full"])
@pytest.mark.parametrize("square", [(20, 10, 80), (-30, -20, 100), (100, 60, 120)])
def test_any_picture_any_place(size: tuple[int, int], kind: str, square: tuple[int, int, int]) -> None:
    colour = Colour(
        "yuv420p" if kind == "full" else kind, "bt709", kind == "full", (1, 2 if kind == "full" else 1, 1, 1)
    )
    image = smooth(*size)
    frame = VideoFrame(planes_from_rgb(image, colour), 0, Fraction(1, 25), colour)
    x, y, side = square
    made = cropped(frame, x, y, side, side)
    assert made.colour.pixel_format == "yuv420p" and made.planes[0].shape == (side, side)
    assert all(plane.shape == (side // 2, side // 2) for plane in made.planes[1:])
    rows, columns = np.clip(np.arange(y, y + side), 0, size[1] - 1), np.clip(np.arange(x, x + side), 0, size[0] - 1)
    wanted = image[rows][:, columns]
    assert np.abs(to_rgb(made).astype(int) - wanted).mean() < 2.5
    half = cropped(frame, x, y, side, side // 2)
    small = cv2.resize(wanted, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(to_rgb(half).astype(int) - small).mean() < 2.5


@pytest.mark.parametrize(("matrix", "told"), [("bt709", 1), ("bt601", 6)])
def test_a_matrix_that_was_guessed_by_the_size_is_told(matrix: str, told: int) -> None:
    for tags in ((2, 0, 2, 2), (5, 1, 5, 5)):
        colour = Colour("yuv420p", matrix, False, tags)
        frame = VideoFrame(planes_from_rgb(smooth(160, 120), colour), 0, Fraction(1, 25), colour)
        wanted = (told if tags[0] == 2 else tags[0], *tags[1:])
        assert cropped(frame, 0, 0, 80, 80).colour == Colour("yuv420p", matrix, False, wanted)


def test_large_squares_are_scaled_down() -> None:
    assert size_of(300) == 300 and size_of(2000) == LARGEST_PX and LARGEST_PX % 2 == 0


def test_pose_is_that_of_a_camera() -> None:
    turn = np.eye(3, dtype=np.float32)[None]
    still = camera_pose(turn, np.array([0.02], np.float32), np.array([[100.0, 100.0]], np.float32), 1.0, 200)
    assert still.shape == (1, 3, 4) and still.dtype == np.float16
    np.testing.assert_allclose(still[0, :, :3], np.eye(3))
    aside = camera_pose(turn, np.array([0.02], np.float32), np.array([[120.0, 90.0]], np.float32), 1.0, 200)
    assert aside[0, 0, 3] > still[0, 0, 3] and aside[0, 1, 3] > still[0, 1, 3]
    far = camera_pose(turn, np.array([0.04], np.float32), np.array([[100.0, 100.0]], np.float32), 1.0, 200)
    assert far[0, 2, 3] == pytest.approx(2 * still[0, 2, 3], rel=0.01) and still[0, 2, 3] < 0
    # The same face in a clip of half the size stands at the same distance.
    half = camera_pose(turn, np.array([0.02], np.float32), np.array([[50.0, 50.0]], np.float32), 0.5, 100)
    np.testing.assert_allclose(half, still, atol=0.02)
    lost = camera_pose(
        np.full((1, 3, 3), np.nan, np.float32), np.full(1, np.nan, np.float32), np.full((1, 2), np.nan), 1, 9
    )
    assert not lost.any()
