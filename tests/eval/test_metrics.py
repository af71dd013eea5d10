"""The judge's measures on signals and pictures whose answers are known."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.eval import metrics
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, GAP_LOWER, GAP_UPPER, NOSE
from kouxing.types import Bool, Colour, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, HALF_PX

FACE_PX = 100.0


def make_track(opening: Float, found: Bool | None = None) -> FaceTrack:
    """A face 100 px wide whose inner lips open by ``opening`` face widths."""
    frames = len(opening)
    draw = np.random.default_rng(3)
    lips = np.tile(draw.uniform(80, 120, (40, 2)), (frames, 1, 1)).astype(np.float32)
    lips[:, GAP_UPPER] = (100, 140)
    lips[:, GAP_LOWER] = (100, 140)
    lips[:, GAP_LOWER, 1] += opening * FACE_PX
    face = [[60, 80], [80, 80], [120, 80], [140, 80], [100, 110], [100, 180], [50, 90], [150, 90]]
    anchors = np.tile(np.array(face, np.float32), (frames, 1, 1))
    seen = np.ones(frames, bool) if found is None else found
    for points in (lips, anchors):
        points[~seen] = np.nan
    return FaceTrack(lips, anchors, np.full((frames, 21, 2), np.nan, np.float32), seen, np.zeros(frames, bool))


def speechlike(frames: int, seed: int = 0) -> Float:
    """A smooth random curve, 0..0.12."""
    draw = np.random.default_rng(seed).normal(size=frames + 20)
    smooth = np.convolve(draw, np.hanning(7), "same")[10:-10]
    return ((smooth - smooth.min()) / np.ptp(smooth) * 0.12).astype(np.float32)


def turned(track: FaceTrack, degrees: float, scale: float, shift: tuple[float, float]) -> FaceTrack:
    matrix = cv2.getRotationMatrix2D((0, 0), degrees, scale)
    matrix[:, 2] += shift
    turn, move = matrix[:, :2].T.astype(np.float32), matrix[:, 2].astype(np.float32)
    lips, anchors = (points @ turn + move for points in (track.lips, track.anchors))
    return FaceTrack(lips, anchors, track.jaw, track.found, track.cut)


def test_aperture_is_in_face_widths_and_nan_without_face() -> None:
    found = np.array([True, True, False])
    track = make_track(np.array([0.0, 0.08, 0.05], np.float32), found)
    opened = metrics.aperture(track)
    np.testing.assert_allclose(opened[:2], [0.0, 0.08], atol=1e-5)
    assert np.isnan(opened[2])
    np.testing.assert_allclose(metrics.aperture(turned(track, 20, 3.0, (50, 7)))[:2], [0.0, 0.08], atol=1e-5)


def test_correlation_finds_the_planted_value() -> None:
    draw = np.random.default_rng(1)
    one, noise = draw.normal(size=200_000), draw.normal(size=200_000)
    mixed = 0.6 * one + 0.8 * noise
    assert metrics.correlation(one, mixed) == pytest.approx(0.6, abs=0.01)
    assert metrics.correlation(one, -3 * one + 5) == pytest.approx(-1)


def test_correlation_ignores_missing_frames_and_still_mouths() -> None:
    one = speechlike(60)
    holed = one.copy()
    holed[::4] = np.nan
    assert metrics.correlation(holed, one) == pytest.approx(1)
    assert metrics.correlation(np.full(60, 0.03, np.float32), one) == 0
    assert np.isnan(metrics.correlation(holed[:6], one[:6]))
    with pytest.raises(ValueError, match=r"\[T\]"):
        metrics.correlation(one, one[1:])


@given(lag=st.integers(-5, 5), seed=st.integers(0, 50), gain=st.floats(0.2, 3.0))
@settings(max_examples=40, deadline=None)
def test_planted_lag_is_found(lag: int, seed: int, gain: float) -> None:
    whole = speechlike(90, seed)
    real, made = whole[10:80], gain * whole[10 - lag : 80 - lag]
    found = metrics.best_lag(made, real)
    assert found.frames == lag
    assert found.r == pytest.approx(1, abs=1e-5)


def test_half_frame_lag_is_told_between_the_frames() -> None:
    times = np.arange(80)
    real = np.sin(times / 3) + np.sin(times / 5.3)
    late = np.sin((times - 1.5) / 3) + np.sin((times - 1.5) / 5.3)
    assert metrics.best_lag(late, real).exact == pytest.approx(1.5, abs=0.1)


def test_lag_of_short_or_still_curves_is_not_made_up() -> None:
    assert np.isnan(metrics.best_lag(speechlike(12), speechlike(12)).exact)
    still = metrics.best_lag(np.full(60, 0.02, np.float32), speechlike(60))
    assert (still.frames, still.r) == (0, 0)


def test_lip_distance_ignores_head_motion_and_sees_the_mouth() -> None:
    real = make_track(speechlike(20))
    np.testing.assert_allclose(metrics.lip_distance(turned(real, 12, 1.3, (30, -9)), real), 0, atol=1e-5)
    lips = real.lips.copy()
    lips[..., 1] += 5
    moved = FaceTrack(lips, real.anchors, real.jaw, real.found, real.cut)
    np.testing.assert_allclose(metrics.lip_distance(moved, real), 5 / FACE_PX, atol=1e-5)
    with pytest.raises(ValueError, match="length"):
        metrics.lip_distance(real, make_track(speechlike(19)))


def test_align_uses_no_point_that_speech_moves() -> None:
    assert not {EDGE_LEFT, EDGE_RIGHT, 5} & set(metrics.RIGID)
    assert NOSE in metrics.RIGID


def test_closed_threshold_is_a_share_with_a_floor() -> None:
    assert metrics.closed_threshold(np.linspace(0, 1, 101)) == pytest.approx(0.12 * 0.95)
    assert metrics.closed_threshold(np.full(9, 0.001)) == metrics.CLOSED_FLOOR
    assert metrics.closed_threshold(np.full(9, np.nan)) == metrics.CLOSED_FLOOR


def test_silence_counts_only_silent_frames_with_a_face() -> None:
    opened = np.array([0.0, 0.05, 0.0, 0.05, np.nan, 0.0], np.float32)
    silent = np.array([True, True, False, False, True, True, True])
    closed = metrics.silence_closed(opened, silent, 0.012)
    assert (closed.hits, closed.total) == (2, 3)
    assert (closed + metrics.Share(1, 1)).value == pytest.approx(3 / 4)
    assert np.isnan(metrics.Share(0, 0).value)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (CROP_PX, CROP_PX, 3), np.uint8)


def test_sharpness_falls_with_blur() -> None:
    box = (90, 150, 170, 210)
    real, soft = metrics.detail(picture(), box), metrics.detail(cv2.GaussianBlur(picture(), (0, 0), 2), box)
    fine, middling = (metrics.detail_ratio([soft[k]], [real[k]]) for k in (0, 1))
    assert 0 < fine < middling < 0.1
    assert metrics.detail_ratio([real[0]] * 2, [real[0]] * 2) == 1
    assert np.isnan(metrics.detail_ratio([1.0], [0.0]))
    assert metrics.detail(np.full((CROP_PX, CROP_PX, 3), 77, np.uint8), box) == (0, 0)
    assert np.isnan(metrics.detail(picture(), (5, 9, 5, 20))).all()


def test_mouth_box_stays_in_the_lower_half() -> None:
    x0, y0, x1, y1 = metrics.mouth_box(np.array([[100.0, 120.0], [150.0, 180.0]], np.float32))
    assert x0 < 100 < 150 < x1 and y1 > 180
    assert y0 == HALF_PX


def test_psnr_and_ssim_of_known_pictures() -> None:
    real = np.full((CROP_PX, CROP_PX, 3), 100, np.uint8)
    inside = metrics.lower_face()
    assert int(inside.sum()) == HALF_PX * CROP_PX
    off = real.copy()
    off[HALF_PX:] += 10
    off[:HALF_PX] = 0
    assert metrics.psnr(off, real, inside) == pytest.approx(20 * np.log10(25.5))
    assert metrics.psnr(real, real, inside) == 60
    assert metrics.ssim(picture(1), picture(1), inside) == pytest.approx(1)
    assert metrics.ssim(picture(1), picture(2), inside) < 0.1
    nowhere = metrics.lower_face(np.zeros((CROP_PX, CROP_PX), np.float32))
    assert np.isnan(metrics.psnr(real, real, nowhere)) and np.isnan(metrics.ssim(real, real, nowhere))


def frame(height: int = 32, width: int = 48) -> VideoFrame:
    draw = np.random.default_rng(5)
    sizes = ((height, width), (-(-height // 2), -(-width // 2)), (-(-height // 2), -(-width // 2)))
    planes = tuple(draw.integers(16, 236, size, np.uint8) for size in sizes)
    return VideoFrame(planes, 0, Fraction(1, 25), Colour("yuv420p", "bt601", False))  # type: ignore[arg-type]


def changed(source: VideoFrame, plane: int, y: int, x: int, by: int) -> VideoFrame:
    planes = [p.copy() for p in source.planes]
    planes[plane][y, x] += by  # type: ignore[call-overload]
    return VideoFrame(tuple(planes), source.pts, source.time_base, source.colour)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_one_sample_outside_the_mask_is_seen(size: tuple[int, int]) -> None:
    real = frame(*size)
    inside = np.zeros(size, bool)
    inside[10:20, 10:21] = True
    assert metrics.outside_diff(real, real, inside) == 0
    assert metrics.outside_diff(changed(real, 0, 12, 12, 7), real, inside) == 0
    assert metrics.outside_diff(changed(real, 0, 9, 12, 7), real, inside) == 7
    assert metrics.outside_diff(changed(real, 1, 6, 10, 3), real, inside) == 0
    assert metrics.outside_diff(changed(real, 2, 6, 11, 3), real, inside) == 3
    with pytest.raises(ValueError, match="planes"):
        metrics.outside_diff(frame(16, 16), real, inside)
