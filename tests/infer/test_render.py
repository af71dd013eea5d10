"""Pictures and videos of avatars, drawn without a display."""

from __future__ import annotations

import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from avatars import two_squares
from fake_media import make_sound
from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import MediaError, OptionError, OutputError
from kouxing.export.glb import Glb, write_glb
from kouxing.infer import morphs
from kouxing.infer.preview import preview
from kouxing.infer.render import Renderer
from kouxing.media.metadata import ALL_MADE, read_mark
from kouxing.media.reader import probe, read_video
from kouxing.types import CoefficientTrack

needs_panda = pytest.mark.skipif(
    find_spec("panda3d") is None, reason="Panda3D is missing: pip install 'kouxing[render]'"
)
SIDE = 96


def jaw(value: float) -> np.ndarray:
    weights = np.zeros(len(COEFFICIENTS), np.float32)
    weights[PLACE["jawOpen"]] = value
    return weights


@pytest.fixture()
def head(tmp_path: Path) -> Path:
    write_glb(tmp_path / "head.glb", two_squares())
    return tmp_path / "head.glb"


def middle(picture: np.ndarray, channel: int) -> np.ndarray:
    """Mean place (x, y) of what is much brighter in one channel than in the others."""
    others = np.delete(picture.astype(int), channel, axis=2).max(2)
    y, x = np.nonzero(picture[..., channel] > others + 60)
    assert len(x) > 50
    return np.array([x.mean(), y.mean()])


@needs_panda
def test_pictures_show_each_mesh_where_the_coefficients_put_it(head: Path) -> None:
    with Renderer(morphs.load(head), SIDE) as renderer:
        rest, opened = renderer.picture(jaw(0)), renderer.picture(jaw(1))
        again = renderer.picture(jaw(0))
    assert rest.shape == (SIDE, SIDE, 3) and rest.dtype == np.uint8
    np.testing.assert_array_equal(rest, again)
    # x to the right: the red square stands at +x; y upward: the green one goes down, the red one up.
    assert middle(rest, 1)[0] < SIDE / 2 < middle(rest, 0)[0]
    assert middle(opened, 1)[1] > middle(rest, 1)[1] + 3
    assert middle(opened, 0)[1] < middle(rest, 0)[1] - 3


@needs_panda
def test_two_renderers_do_not_disturb_each_other(head: Path) -> None:
    parts = morphs.load(head)
    with Renderer(parts, SIDE) as one, Renderer(parts, 2 * SIDE) as two:
        first = one.picture(jaw(0))
        assert two.picture(jaw(1)).shape == (2 * SIDE, 2 * SIDE, 3)
        np.testing.assert_array_equal(one.picture(jaw(0)), first)


@pytest.mark.parametrize("side", [0, 63, 65, 4000])
def test_sizes_out_of_range_are_told(side: int, head: Path) -> None:
    with pytest.raises(OptionError, match="even number of pixels"):
        Renderer(morphs.load(head), side)


def test_without_panda_one_line_tells_what_to_install(head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "panda3d", None)
    track = CoefficientTrack(np.zeros((4, 52), np.float32))
    with pytest.raises(OptionError, match=r"pip install 'kouxing\[render\]'"):
        preview(track, head, head.with_name("out.mp4"))


@needs_panda
def test_a_preview_has_the_tracks_length_its_sound_and_the_mark(head: Path, tmp_path: Path) -> None:
    sound, out = tmp_path / "a.wav", tmp_path / "out.mp4"
    make_sound(sound, 1.0)
    values = np.zeros((60, 52), np.float32)
    values[30:, PLACE["jawOpen"]] = 1
    told: list[tuple[int, int]] = []
    preview(CoefficientTrack(values), head, out, sound, lambda done, total: told.append((done, total)), side_px=SIDE)
    info = probe(out)
    assert (info.width, info.height, info.rate) == (SIDE, SIDE, Fraction(30))
    assert info.has_sound and (read_mark(out) or "").endswith(ALL_MADE)
    frames = list(read_video(out))
    assert len(frames) == told[-1][0] == told[-1][1] == 30
    assert [frame.time for frame in frames] == [Fraction(k, 30) for k in range(30)]
    assert np.abs(frames[0].planes[0].astype(int) - frames[-1].planes[0]).max() > 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "head.glb", "out.mp4"]


@needs_panda
def test_nothing_is_left_when_a_preview_fails(head: Path, tmp_path: Path) -> None:
    track = CoefficientTrack(np.zeros((60, 52), np.float32))
    out = tmp_path / "out.mp4"

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preview(track, head, out, None, stop, side_px=SIDE)
    with pytest.raises(OutputError):
        preview(track, head, tmp_path / "none" / "out.mp4", side_px=SIDE)
    empty = tmp_path / "empty.glb"
    write_glb(empty, Glb({"asset": {"version": "2.0"}, "meshes": [{"primitives": []}]}))
    with pytest.raises(MediaError, match=r"empty\.glb has no triangles"):
        preview(track, empty, out, side_px=SIDE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.glb", "head.glb"]
