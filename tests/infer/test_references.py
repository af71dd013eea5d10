"""Reference choice: near in pose, sharp, spread from closed to wide."""

import numpy as np
import pytest

from infer.fake_parts import face
from kouxing.infer.references import choose, face_width, head_pose, mouth_geometry, opening, sharpness
from kouxing.types import FaceTrack


def track(gaps, turn=None):
    """A face in a 256 px frame whose lips open by ``gaps``; ``turn`` moves the nose sideways."""
    parts = [face(float(gap)) for gap in gaps]
    lips, anchors, jaw = (np.stack([part[i] for part in parts]) for i in range(3))
    if turn is not None:
        anchors = anchors.copy()
        anchors[:, 4, 0] += turn
    frames = len(gaps)
    return FaceTrack(lips, anchors, jaw, np.ones(frames, bool), np.zeros(frames, bool))


def identity(frames):
    return np.repeat(np.eye(2, 3, dtype=np.float32)[None], frames, 0)


def detail(lower, upper=None):
    """Sharpness ``[T, 2]``; the upper face is as sharp as the lower one where nothing else is said."""
    lower = np.asarray(lower, np.float32)
    return np.stack([lower, lower if upper is None else np.broadcast_to(np.float32(upper), lower.shape)], 1)


def test_references_go_from_closed_to_wide():
    gaps = np.random.default_rng(1).permutation(np.linspace(0, 30, 200))
    chosen = choose(track(gaps), np.ones(200, bool), detail(np.ones(200)))
    assert len(chosen) == 3
    closed, between, wide = gaps[chosen]
    assert closed < 3 and 8 < between < 25 and wide > 27


def test_turned_blurred_and_unusable_frames_are_left_out():
    frames = 300
    rng = np.random.default_rng(2)
    gaps = rng.uniform(0, 30, frames)
    turned, blurred, unusable = (np.arange(frames) % 4 == k for k in (1, 2, 3))
    sharp = np.where(blurred, 1.0, 10.0).astype(np.float32)
    seen = track(gaps, turn=np.where(turned, 25.0, 0.0) + rng.normal(0, 0.2, frames))
    chosen = choose(seen, ~unusable, detail(sharp))
    assert not turned[chosen].any() and not blurred[chosen].any() and not unusable[chosen].any()


def test_frames_with_writing_on_the_chin_are_left_out():
    frames = np.arange(300)
    # A caption comes after 2.4 s and stays, as more than half of the clip; letters are the sharpest thing there is.
    written = frames >= 60
    sharp = np.where(written, 42.0, 13.0) + np.random.default_rng(3).normal(0, 1, 300)
    seen = track(np.random.default_rng(4).uniform(0, 30, 300))
    assert not written[choose(seen, np.ones(300, bool), detail(sharp, 13))].any()


def test_black_frames_are_no_faces_without_writing():
    black = np.arange(300) < 90
    seen = track(np.random.default_rng(4).uniform(0, 30, 300))
    assert not black[choose(seen, np.ones(300, bool), detail(np.where(black, 0.0, 13.0)))].any()


def test_a_sharper_shot_is_no_writing():
    frames = np.arange(300)
    close_up = frames >= 60
    sharp = np.where(close_up, 42.0, 13.0).astype(np.float32)
    seen = track(np.random.default_rng(4).uniform(0, 30, 300))
    cuts = FaceTrack(seen.lips, seen.anchors, seen.jaw, seen.found, frames == 60)
    assert close_up[choose(cuts, np.ones(300, bool), detail(sharp, 13))].all()


def test_a_camera_that_finds_its_focus_is_no_writing():
    """Nor is a close-up that begins out of focus: what gets sharper there is the whole face."""
    frames, seen = np.arange(300), track(np.random.default_rng(4).uniform(0, 30, 300))
    noise = np.random.default_rng(3).normal(0, 0.5, 300)
    sharp = np.where(frames >= 90, 30.0, 12.0) + noise
    assert (np.array(choose(seen, np.ones(300, bool), detail(sharp))) >= 90).all()
    soft = np.where(frames < 100, 10.0, np.where(frames < 140, 12.0, 40.0)) + noise
    cuts = FaceTrack(seen.lips, seen.anchors, seen.jaw, seen.found, frames == 100)
    assert (np.array(choose(cuts, np.ones(300, bool), detail(soft))) >= 140).all()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_clips_have_references_too(frames):
    seen = track(np.linspace(0, 10, frames))
    chosen = choose(seen, np.ones(frames, bool), detail(np.ones(frames)))
    assert len(chosen) == 3 and set(chosen) <= set(range(frames))
    made = mouth_geometry(seen, identity(frames), chosen)
    assert made.shape == (3, 16) and np.isfinite(made).all()


def test_no_usable_frame_is_a_programmers_mistake():
    with pytest.raises(ValueError, match="no usable frame"):
        choose(track([1, 2]), np.zeros(2, bool), detail(np.ones(2)))


def test_geometry_of_the_widest_reference_is_the_largest():
    seen = track(np.linspace(0, 30, 50))
    chosen = choose(seen, np.ones(50, bool), detail(np.ones(50)))
    size = np.abs(mouth_geometry(seen, identity(50), chosen)).max(1)
    assert size[0] < size[1] < size[2]


def test_pose_and_opening_do_not_depend_on_size_or_place():
    seen = track([12.0])
    moved = FaceTrack(seen.lips * 3 + 50, seen.anchors * 3 + 50, seen.jaw * 3 + 50, seen.found, seen.cut)
    np.testing.assert_allclose(head_pose(seen.anchors), head_pose(moved.anchors), atol=1e-5)
    np.testing.assert_allclose(opening(seen), opening(moved), atol=1e-5)
    assert face_width(moved.anchors)[0] == pytest.approx(3 * face_width(seen.anchors)[0])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_blur_lowers_sharpness(kind):
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(kind)
    matrix = np.eye(2, 3, dtype=np.float32)
    assert (sharpness(noise, matrix) > 3 * sharpness(cv2.GaussianBlur(noise, (0, 0), 2), matrix)).all()
    assert (sharpness(np.full((300, 300), 7, kind), matrix) == 0).all()


def test_lips_that_close_with_another_turn_of_the_head_only_are_shown_closed():
    gaps, turn = np.linspace(6, 30, 100), np.zeros(100)
    gaps[:4], turn[:4] = 0.0, (14, 12, 16, 18)
    seen = track(gaps, turn)
    chosen = choose(seen, np.ones(100, bool), detail(np.ones(100)))
    assert chosen[0] == 1
    unclosed = choose(track(np.maximum(gaps, 6), turn), np.ones(100, bool), detail(np.ones(100)))
    assert unclosed[0] >= 4 and chosen[1:] == unclosed[1:]
