from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.face.crop import EYE_DISTANCE_PX, EYES_Y_PX, apply, crop_face, crop_matrices, invert
from kouxing.types import Float
from kouxing.units import CROP_PX

RATE_HZ = 25.0


def anchors(x: float, y: float, eye_distance: float, angle: float) -> Float:
    """[8, 2] of an upright face, turned by ``angle`` radians around its eyes' middle (x, y)."""
    d = eye_distance
    flat = np.array(
        [(-0.7, 0), (-0.3, 0), (0.3, 0), (0.7, 0), (0, 0.7), (0, 1.75), (-1.1, 0.2), (1.1, 0.2)], np.float64
    )
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (flat * d @ turn.T + (x, y)).astype(np.float32)


faces = st.tuples(st.floats(-200, 2000), st.floats(-200, 2000), st.floats(10, 600), st.floats(-3.1, 3.1))


def one(points: Float) -> Float:
    return crop_matrices(points[None], np.ones(1, bool), np.ones(1, bool), RATE_HZ)[0]


@given(faces)
def test_the_way_back_undoes_the_way_in(face: tuple[float, float, float, float]) -> None:
    points = anchors(*face)
    matrix = one(points)
    back = apply(invert(matrix), apply(matrix, points))
    assert np.abs(back - points).max() < 2e-3 * max(1.0, np.abs(points).max() / 100, face[2] / 10)


@given(faces)
def test_any_face_stands_upright_in_the_middle(face: tuple[float, float, float, float]) -> None:
    points = anchors(*face)
    inside = apply(one(points), points)
    right, left = inside[0:2].mean(0), inside[2:4].mean(0)
    assert np.allclose((right + left) / 2, (CROP_PX / 2, EYES_Y_PX), atol=1.0)
    assert np.allclose(left - right, (EYE_DISTANCE_PX, 0), atol=1.0)


def test_pixels_come_back_where_they_were() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (300, 400, 3), np.uint8), (0, 0), 5)
    matrix = one(anchors(200, 120, 60, 0.2))
    crop = crop_face(image, matrix)
    back = cv2.warpAffine(crop.image, crop.matrix, (400, 300), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    inner = cv2.warpAffine(np.ones((CROP_PX, CROP_PX), np.uint8), crop.matrix, (400, 300), flags=cv2.WARP_INVERSE_MAP)
    inner = cv2.erode(inner, np.ones((5, 5))) > 0
    assert inner.sum() > 20_000
    assert np.abs(back[inner].astype(int) - image[inner]).mean() < 1.0


def test_a_moving_jaw_does_not_move_the_crop() -> None:
    still = np.repeat(anchors(300, 200, 80, 0.1)[None], 30, 0)
    talking = still.copy()
    talking[:, 5] += 25 * np.abs(np.sin(np.arange(30)))[:, None]
    every, none = np.ones(30, bool), np.zeros(30, bool)
    assert np.array_equal(crop_matrices(still, every, none, RATE_HZ), crop_matrices(talking, every, none, RATE_HZ))


def test_jitter_of_the_points_is_steadied() -> None:
    rng = np.random.default_rng(1)
    track = np.repeat(anchors(300, 200, 80, 0.0)[None], 100, 0) + rng.normal(0, 0.8, (100, 8, 2)).astype(np.float32)
    every, none = np.ones(100, bool), np.zeros(100, bool)
    steady = crop_matrices(track, every, none, RATE_HZ)
    scale = np.hypot(steady[:, 0, 0], steady[:, 1, 0])
    raw = np.array([one(points) for points in track])
    assert scale.std() < 0.4 * np.hypot(raw[:, 0, 0], raw[:, 1, 0]).std()
    where, raw_where = (apply(m, np.array([[300, 240]], np.float32))[:, 0] for m in (steady, raw))
    assert np.diff(where, axis=0).std() < 0.75 * np.diff(raw_where, axis=0).std()


def test_nothing_is_smoothed_across_a_cut() -> None:
    before, after = anchors(200, 150, 60, 0.0), anchors(700, 300, 140, 0.3)
    track = np.concatenate([np.repeat(before[None], 10, 0), np.repeat(after[None], 10, 0)])
    cut = np.zeros(20, bool)
    cut[10] = True
    matrices = crop_matrices(track, np.ones(20, bool), cut, RATE_HZ)
    assert np.allclose(matrices[9], one(before), atol=1e-3)
    assert np.allclose(matrices[10], one(after), atol=1e-3)
    blurred = crop_matrices(track, np.ones(20, bool), np.zeros(20, bool), RATE_HZ)
    assert not np.allclose(blurred[9], one(before), atol=1e-2)


def test_gaps_are_filled_inside_a_shot_only() -> None:
    track = np.repeat(anchors(200, 150, 60, 0.0)[None], 12, 0)
    found = np.ones(12, bool)
    found[3:5] = False
    found[8:] = False
    cut = np.zeros(12, bool)
    cut[8] = True
    track[~found] = np.nan
    matrices = crop_matrices(track, found, cut, RATE_HZ)
    assert np.isfinite(matrices[:8]).all()
    assert np.isnan(matrices[8:]).all()


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_tiny_pictures_are_cropped_all_the_same(side: int) -> None:
    image = np.full((side, side, 3), 90, np.uint8)
    crop = crop_face(image, np.array([[0.01, 0, 0], [0, 0.01, 0]], np.float32))
    assert crop.image.shape == (CROP_PX, CROP_PX, 3)
    assert (crop.image == 90).all()


@pytest.mark.parametrize("scale", [0.3, 1.7])
def test_the_upper_rows_can_be_cut_alone(scale: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    matrix = np.array([[scale, -0.1, 20], [0.1, scale, -40]], np.float32)
    whole, upper = crop_face(picture, matrix).image, crop_face(picture, matrix, 100).image
    np.testing.assert_array_equal(upper[:100], whole[:100])
    assert upper.shape == whole.shape and not upper[100:].any()
