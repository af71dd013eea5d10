from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from face.people import anna, frame_of, put, wall
from face.test_mask import face, in_frame, similarity
from kouxing.face.crop import crop_face, crop_matrices
from kouxing.face.mask import mask, placed
from kouxing.face.paste import SeamColour, paste
from kouxing.face.track import FaceTracker
from kouxing.media.colour import chroma_step, to_rgb
from kouxing.types import Bytes, Colour, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, HALF_PX

COLOURS = [
    Colour("yuv420p", "bt601", False),
    Colour("yuv420p", "bt709", True),
    Colour("yuv422p", "bt709", False),
    Colour("yuv444p", "bt601", True),
    Colour("yuv420p10le", "bt709", False),
    Colour("yuv422p10le", "bt709", False),
]


def noise_frame(width: int, height: int, colour: Colour, seed: int) -> VideoFrame:
    rng = np.random.default_rng(seed)
    across, down = chroma_step(colour.pixel_format)
    top, kind = (1024, np.uint16) if "10le" in colour.pixel_format else (256, np.uint8)
    sizes = [(height, width)] + [(-(-height // down), -(-width // across))] * 2
    planes: list[NDArray[Any]] = [rng.integers(0, top, size).astype(kind) for size in sizes]
    return VideoFrame((planes[0], planes[1], planes[2]), 0, frame_of(wall()).time_base, colour)


def touched(matrix: Float, jaw: Float, lips: Float, frame: VideoFrame) -> list[NDArray[np.bool_]]:
    """For each plane where a change is allowed: the mask, and chroma samples that cover some of it."""
    luma = np.zeros((frame.height, frame.width), bool)
    place = placed(mask(matrix, jaw, lips), matrix, frame.width, frame.height)
    if place is not None:
        (x0, y0, x1, y1), alpha = place
        luma[y0:y1, x0:x1] = alpha > 0
    across, down = chroma_step(frame.colour.pixel_format)
    grown = np.pad(luma, ((0, -frame.height % down), (0, -frame.width % across)))
    chroma = grown.reshape(grown.shape[0] // down, down, grown.shape[1] // across, across).any((1, 3))
    return [luma, chroma, chroma]


@settings(max_examples=60)
@given(
    st.builds(similarity, st.floats(0.15, 4), st.floats(-3.1, 3.1), st.floats(-60, 380), st.floats(-60, 300)),
    st.floats(185, 260),
    st.sampled_from(COLOURS),
    st.tuples(st.integers(1, 321), st.integers(1, 243)),
    st.integers(0, 99),
)
def test_every_sample_outside_the_mask_keeps_its_bits(
    matrix: Float, chin: float, colour: Colour, size: tuple[int, int], seed: int
) -> None:
    frame = noise_frame(*size, colour, seed)
    before = [plane.copy() for plane in frame.planes]
    image = np.random.default_rng(seed + 1).integers(0, 256, (CROP_PX, CROP_PX, 3), np.uint8)
    jaw, lips = in_frame(matrix, chin)
    made = paste(frame, image, matrix, jaw, lips)
    allowances = touched(matrix, jaw, lips, frame)
    for old, plane, new, allowed in zip(before, frame.planes, made.planes, allowances, strict=True):
        assert np.array_equal(old, plane)  # the given frame is left alone
        assert new.dtype == old.dtype and new.shape == old.shape
        assert np.array_equal(old[~allowed], new[~allowed])


def test_inside_the_mask_the_painting_shows() -> None:
    matrix = similarity(1.0, 0.0, 160, 120)
    frame = frame_of(np.full((240, 320, 3), 120, np.uint8))
    image = np.full((CROP_PX, CROP_PX, 3), 120, np.uint8)
    jaw, lips = in_frame(matrix)
    image[155:175, 110:146] = (200, 40, 40)
    made = to_rgb(paste(frame, image, matrix, jaw, lips))
    x, y = 160, 120 + 165 - 128
    assert np.abs(made[y, x].astype(int) - (200, 40, 40)).max() < 8
    assert np.abs(made[:100].astype(int) - 120).max() < 3


@pytest.fixture(scope="module", params=[0.55, 1.0, 2.2], ids=["small", "middle", "large"])
def talk(request: pytest.FixtureRequest) -> tuple[VideoFrame, FaceTrack, Float]:
    """A frame with a face of about 55, 100 or 220 pixels, its track and its crop transform."""
    scene = wall(1, 720, 640)
    put(scene, anna(), 350, 320, request.param, 6)
    frame = frame_of(scene)
    with FaceTracker() as tracker:
        assert tracker.push(frame).found
        track = tracker.track()
    return frame, track, crop_matrices(track.anchors, track.found, track.cut, 25.0)[0]


def lower(crop: Bytes, change: Any) -> Bytes:
    made = crop.astype(np.float32)
    made[HALF_PX:] += change
    return np.clip(made, 0, 255).astype(np.uint8)


def error(made: VideoFrame, frame: VideoFrame, weight: Float) -> float:
    """Mean difference of the RGB pictures in levels, over the mask."""
    apart = np.abs(to_rgb(made).astype(np.float32) - to_rgb(frame)).mean(2)
    return float((apart * weight).sum() / weight.sum())


def share(frame: VideoFrame, track: FaceTrack, matrix: Float) -> Float:
    place = placed(mask(matrix, track.jaw[0], track.lips[0]), matrix, frame.width, frame.height)
    assert place is not None
    (x0, y0, x1, y1), alpha = place
    whole = np.zeros((frame.height, frame.width), np.float32)
    whole[y0:y1, x0:x1] = alpha
    return whole


@pytest.mark.parametrize("scale", [0.2, 0.3, 0.5, 1.0, 2.0])
def test_no_ring_shows_around_the_lips(scale: float) -> None:
    """Where detail of the frame is kept and where it is not, at any size: one colour stays one colour."""
    matrix = similarity(scale, 0.0, 160, 120)
    frame = frame_of(np.full((240, 320, 3), 200, np.uint8))
    jaw, lips = in_frame(matrix)
    made = to_rgb(paste(frame, np.full((CROP_PX, CROP_PX, 3), 200, np.uint8), matrix, jaw, lips))
    assert np.abs(made.astype(int) - to_rgb(frame)).max() <= 2


def test_detail_does_not_jump_as_a_face_comes_nearer() -> None:
    crop, left = grain(), []
    for scale in np.arange(0.56, 1.2, 0.02):
        matrix = similarity(scale, 0.0, 300.3, 300.7)
        frame = frame_of(np.full((600, 600, 3), 128, np.uint8))
        made = crop_face(to_rgb(paste(frame, crop, matrix, *in_frame(matrix))), matrix).image
        left.append(detail(made) / detail(crop))
    steps = np.array(left[1:]) / left[:-1]
    assert left[0] < 0.3 and left[-1] > 0.8
    assert steps.min() > 0.8 and steps.max() < 1.3, left


def grain() -> Bytes:
    """A crop full of the finest detail."""
    noise = np.random.default_rng(0).normal(128, 60, (CROP_PX, CROP_PX)).astype(np.float32)
    return np.repeat(cv2.GaussianBlur(noise, (0, 0), 0.8).clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def detail(crop: Bytes) -> float:
    """Variance of the Laplacian on the lips of ``in_frame``."""
    x, y = face()[1].mean(0).astype(int)
    return float(cv2.Laplacian(crop[y - 12 : y + 12, x - 20 : x + 20, 1], cv2.CV_32F).var())


def test_its_own_crop_changes_next_to_nothing(talk: tuple[VideoFrame, FaceTrack, Float]) -> None:
    frame, track, matrix = talk
    crop = crop_face(to_rgb(frame), matrix).image
    made = paste(frame, crop, matrix, track.jaw[0], track.lips[0])
    assert error(made, frame, share(frame, track, matrix)) < 2.5


@pytest.mark.parametrize(
    "change", [(18, 10, -12), np.linspace(-18, 18, CROP_PX)[None, :, None]], ids=["tint", "side light"]
)
def test_another_light_is_matched(talk: tuple[VideoFrame, FaceTrack, Float], change: Any) -> None:
    frame, track, matrix = talk
    crop = crop_face(to_rgb(frame), matrix).image
    weight = share(frame, track, matrix)
    plain = paste(frame, crop, matrix, track.jaw[0], track.lips[0])
    made = paste(frame, lower(crop, change), matrix, track.jaw[0], track.lips[0])
    assert error(made, plain, weight) < 0.35 * float(np.abs(np.asarray(change)).mean())


def test_another_mouth_does_not_change_the_colours(talk: tuple[VideoFrame, FaceTrack, Float]) -> None:
    frame, track, matrix = talk
    crop = crop_face(to_rgb(frame), matrix).image
    open_wide = crop.copy()
    open_wide[155:185, 105:151] = (60, 15, 15)
    state = SeamColour()
    paste(frame, open_wide, matrix, track.jaw[0], track.lips[0], state)
    assert state.plane is not None and np.abs(state.plane).max() < 2.5


def test_colour_follows_slowly_and_can_forget(talk: tuple[VideoFrame, FaceTrack, Float]) -> None:
    frame, track, matrix = talk
    crop = crop_face(to_rgb(frame), matrix).image
    state = SeamColour()
    levels = []
    for change in (0, 20, 20, 20):
        paste(frame, lower(crop, change), matrix, track.jaw[0], track.lips[0], state)
        assert state.plane is not None
        levels.append(float(state.plane[0].mean()))
    assert abs(levels[0]) < 2
    assert levels[0] > levels[1] > levels[2] > levels[3] > -19
    state.forget()
    paste(frame, lower(crop, 20), matrix, track.jaw[0], track.lips[0], state)
    assert state.plane is not None and abs(float(state.plane[0].mean()) + 20) < 2.5


def test_a_large_face_keeps_its_skin() -> None:
    """Fine grain that the crop cannot hold is still there after a paste, except on the lips."""
    scene = wall(1, 720, 640)
    put(scene, anna(), 350, 320, 2.2)
    clean = scene.copy()
    grain = np.random.default_rng(0).normal(0, 9, scene.shape[:2])
    scene = np.clip(scene + grain[..., None], 0, 255).astype(np.uint8)
    frame = frame_of(scene)
    with FaceTracker() as tracker:
        tracker.push(clean)
        track = tracker.track()
    matrix = crop_matrices(track.anchors, track.found, track.cut, 25.0)[0]
    crop = crop_face(to_rgb(frame), matrix).image
    made = paste(frame, crop, matrix, track.jaw[0], track.lips[0])
    x, y = (int(v) for v in (track.jaw[0][10] * 0.45 + track.lips[0][5] * 0.55))
    patch = (slice(y - 10, y + 10), slice(x - 14, x + 14))
    kept = np.corrcoef((made.planes[0][patch].astype(float) - clean[patch].mean(2)).ravel(), grain[patch].ravel())[0, 1]
    assert kept > 0.8


@pytest.mark.parametrize("gone", ["matrix", "jaw", "lips"])
def test_without_a_face_the_frame_itself_comes_back(gone: str) -> None:
    frame = frame_of(wall())
    matrix = similarity(1.0, 0.0, 300, 150)
    jaw, lips = in_frame(matrix)
    given_values = {"matrix": matrix, "jaw": jaw, "lips": lips}
    given_values[gone][:] = np.nan
    image = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    assert paste(frame, image, given_values["matrix"], given_values["jaw"], given_values["lips"]) is frame


def test_a_face_outside_the_frame_is_no_crash() -> None:
    frame = frame_of(wall())
    matrix = similarity(1.0, 0.0, -900, 150)
    assert paste(frame, np.zeros((CROP_PX, CROP_PX, 3), np.uint8), matrix, *in_frame(matrix)) is frame


def test_a_wrong_crop_is_told() -> None:
    matrix = similarity(1.0, 0.0, 300, 150)
    with pytest.raises(ValueError, match="128, 128, 3"):
        paste(frame_of(wall()), np.zeros((128, 128, 3), np.uint8), matrix, *in_frame(matrix))
