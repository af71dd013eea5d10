"""Colour: exact matrices, and blending that leaves everything else alone bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.media.colour import LUMA_WEIGHTS, blend_rgb, chroma_step, planes_from_rgb, rgb_to_yuv, to_rgb
from kouxing.types import Colour, VideoFrame

FORMATS = [f"yuv{j}{c}p" for j in ("", "j") for c in (420, 422, 444)] + [f"yuv{c}p10le" for c in (420, 422, 444)]


def colour_of(pixel_format: str, matrix: str = "bt709", full: bool | None = None) -> Colour:
    return Colour(pixel_format, matrix, "j" in pixel_format if full is None else full)


def noise_frame(pixel_format: str, size: tuple[int, int], seed: int = 0, matrix: str = "bt709") -> VideoFrame:
    """Random samples over the whole range, illegal ones too."""
    width, height = size
    rng = np.random.default_rng(seed)
    step_x, step_y = chroma_step(pixel_format)
    top, kind = (1024, np.uint16) if "10" in pixel_format else (256, np.uint8)
    small = (-(-height // step_y), -(-width // step_x))
    planes = tuple(rng.integers(0, top, shape).astype(kind) for shape in ((height, width), small, small))
    return VideoFrame(planes, 7, 1, colour_of(pixel_format, matrix))  # type: ignore[arg-type]


@pytest.mark.parametrize("matrix", sorted(LUMA_WEIGHTS))
@pytest.mark.parametrize("full", [False, True])
def test_known_colours(matrix: str, full: bool) -> None:
    table = rgb_to_yuv(matrix, full, 8)
    black, white, grey = (table @ np.array([v, v, v, 1.0]) for v in (0, 255, 128))
    assert black == pytest.approx([0 if full else 16, 128, 128], abs=1e-3)
    assert white == pytest.approx([255 if full else 235, 128, 128], abs=1e-3)
    assert grey[1:] == pytest.approx([128, 128], abs=1e-3)
    blue = table @ np.array([0, 0, 255, 1.0])
    assert blue[1] == pytest.approx(255.5 if full else 240, abs=0.01)


def test_bt601_red_is_the_textbook_one() -> None:
    assert (rgb_to_yuv("bt601", False, 8) @ np.array([255, 0, 0, 1.0])) == pytest.approx([81.5, 90.2, 240], abs=0.1)
    assert (rgb_to_yuv("bt709", False, 10) @ np.array([255, 0, 0, 1.0])) == pytest.approx([250.2, 409.3, 960], abs=0.5)


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("matrix", sorted(LUMA_WEIGHTS))
def test_round_trip(pixel_format: str, matrix: str) -> None:
    x, y = np.meshgrid(np.linspace(0, 1, 97), np.linspace(0, 1, 65))
    rgb = np.stack([255 * x, 255 * y, 255 * (1 - x) * y], axis=-1).astype(np.uint8)
    colour = colour_of(pixel_format, matrix)
    frame = VideoFrame(planes_from_rgb(rgb, colour), 0, 1, colour)  # type: ignore[arg-type]
    error = np.abs(to_rgb(frame).astype(int) - rgb)
    inner = error[2:-2, 2:-2]
    assert inner.mean() < 1.0
    assert inner.max() <= (3 if "444" in pixel_format else 6)


@pytest.mark.parametrize("pixel_format", FORMATS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_box_is_a_part_of_the_whole(pixel_format: str, data: st.DataObject) -> None:
    frame = noise_frame(pixel_format, (37, 29), data.draw(st.integers(0, 99)))
    box = draw_box(data, 37, 29)
    x0, y0, x1, y1 = box
    assert np.array_equal(to_rgb(frame, box), to_rgb(frame)[y0:y1, x0:x1])


def draw_box(data: st.DataObject, width: int, height: int) -> tuple[int, int, int, int]:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    return x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))


@pytest.mark.parametrize("pixel_format", FORMATS)
@settings(max_examples=40)
@given(data=st.data())
def test_blend_leaves_the_rest_bit_for_bit(pixel_format: str, data: st.DataObject) -> None:
    width, height = data.draw(st.sampled_from([(37, 29), (36, 28), (37, 28)]))
    seed = data.draw(st.integers(0, 999))
    rng = np.random.default_rng(seed)
    frame = noise_frame(pixel_format, (width, height), seed)
    before = [plane.copy() for plane in frame.planes]
    x0, y0, x1, y1 = box = draw_box(data, width, height)
    shape = (y1 - y0, x1 - x0)
    rgb = rng.integers(0, 256, (*shape, 3)).astype(data.draw(st.sampled_from([np.uint8, np.float32])))
    alpha = (rng.random(shape) * (rng.random(shape) > 0.7)).astype(np.float32)
    out = blend_rgb(frame, box, rgb, alpha)

    whole = np.zeros((height, width), np.float32)
    whole[y0:y1, x0:x1] = alpha
    step_x, step_y = chroma_step(pixel_format)
    padded = np.pad(whole, ((0, -height % step_y), (0, -width % step_x)))
    cells = padded.reshape(padded.shape[0] // step_y, step_y, padded.shape[1] // step_x, step_x).max(axis=(1, 3))
    for plane, old, cover in zip(out.planes, frame.planes, (whole, cells, cells), strict=True):
        assert plane.dtype == old.dtype and plane.shape == old.shape
        assert np.array_equal(plane[cover == 0], old[cover == 0])
    assert all(np.array_equal(plane, old) for plane, old in zip(frame.planes, before, strict=True))
    assert (out.pts, out.time_base, out.colour) == (frame.pts, frame.time_base, frame.colour)


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("box", [(8, 6, 30, 24), (7, 5, 31, 25), (0, 0, 37, 29)])
def test_full_alpha_lays_the_picture(pixel_format: str, box: tuple[int, int, int, int]) -> None:
    frame = noise_frame(pixel_format, (37, 29))
    x0, y0, x1, y1 = box
    rgb = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    rgb[:] = (200, 120, 60)
    out = to_rgb(blend_rgb(frame, box, rgb, np.ones(rgb.shape[:2], np.float32)))
    # Chroma at the edge of the box is shared with what lies outside.
    inside = out[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].astype(int)
    assert np.abs(inside - (200, 120, 60)).max() <= 2


def test_half_alpha_is_the_mean() -> None:
    colour = colour_of("yuv420p")
    dark, light = (np.full((16, 16, 3), value, np.uint8) for value in (40, 200))
    frame = VideoFrame(planes_from_rgb(dark, colour), 0, 1, colour)  # type: ignore[arg-type]
    out = to_rgb(blend_rgb(frame, (0, 0, 16, 16), light, np.full((16, 16), 0.5, np.float32)))
    assert np.abs(out.astype(int) - 120).max() <= 1


@pytest.mark.parametrize("box", [(0, 0, 38, 29), (-1, 0, 5, 5), (5, 5, 5, 9)])
def test_a_box_outside_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="box"):
        to_rgb(noise_frame("yuv420p", (37, 29)), box)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        blend_rgb(
            noise_frame("yuv420p", (37, 29)), (0, 0, 4, 4), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.float32)
        )
