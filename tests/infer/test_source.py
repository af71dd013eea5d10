"""Footage in any order: the same pictures as a plain reading, forwards, backwards, held."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from fake_media import make_picture, make_video
from kouxing.errors import MediaError
from kouxing.infer import source
from kouxing.infer.source import Footage, frame_bytes
from kouxing.media.colour import to_rgb
from kouxing.media.reader import LARGEST_PX, probe, read_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "video.mp4"
    make_video(path, frames=60, vfr=True, options={"g": "12", "bf": "2"})
    return path, list(read_video(path))


def same(one, other):
    return one.pts == other.pts and all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.parametrize(
    "order",
    [
        list(range(60)),
        [57, 58, 59, 58, 57, 56, 55],
        list(range(59, -1, -1)),
        [30, 30, 30],
        [*range(10), *range(8, 0, -1), *range(5)],
        [0],
    ],
)
def test_frames_come_in_the_order_asked_for(video, monkeypatch, order):
    path, frames = video
    pts = np.array([frame.pts for frame in frames])
    monkeypatch.setattr(source, "BACKWARD_BYTES", 7 * frame_bytes(frames[0]))
    got = list(Footage(path, still=False).shown(pts, frames[0].time_base, np.array(order), frame_bytes(frames[0])))
    assert len(got) == len(order)
    assert all(same(frame, frames[index]) for frame, index in zip(got, order, strict=True))


def test_playing_backwards_holds_a_bounded_number_of_frames(video, monkeypatch):
    path, frames = video
    pts = np.array([frame.pts for frame in frames])
    lengths = []
    forward = Footage._forward

    def watched(self, *args):
        made = list(forward(self, *args))
        lengths.append(len(made))
        yield from made

    monkeypatch.setattr(source, "BACKWARD_BYTES", 5 * frame_bytes(frames[0]))
    monkeypatch.setattr(Footage, "_forward", watched)
    list(Footage(path, False).shown(pts, frames[0].time_base, np.arange(59, -1, -1), frame_bytes(frames[0])))
    assert max(lengths) == 5


def test_a_file_that_changed_is_told(video):
    path, frames = video
    pts = np.array([frame.pts for frame in frames])
    pts[40] += 1
    with pytest.raises(MediaError, match=r"video\.mp4: its frame at .* s is gone"):
        list(Footage(path, False).shown(pts, frames[0].time_base, np.arange(60), 1))
    with pytest.raises(MediaError, match="is gone"):
        next(Footage(path, False).read_from(10**9, Fraction(1, 1000)))


def test_huge_pictures_are_brought_to_what_h264_holds(tmp_path):
    path = tmp_path / "huge.png"
    make_picture(path, size=(4400, 3300))
    small = next(iter(read_video(path)))
    assert small.width * small.height <= LARGEST_PX and small.width % 16 == small.height % 16 == 0
    assert small.planes[1].shape == (small.height // 2, small.width // 2)
    assert abs(small.width / small.height - 4 / 3) < 0.01
    assert probe(path).scaled and probe(path).width == small.width
    footage = Footage(path, still=True)
    usual = next(iter(footage.read()))
    assert (usual.width, usual.height) == (small.width, small.height)
    assert next(iter(footage.read())) is usual
    make_picture(path, size=(1100, 825))
    frame = next(iter(read_video(path)))
    assert (frame.width, frame.height) == (1100, 825)
    # The same picture, whatever size it came in.
    less = cv2.resize(to_rgb(small), (1100, 825), interpolation=cv2.INTER_AREA)
    assert np.abs(less.astype(int) - to_rgb(frame)).mean() < 4
    assert not probe(path).scaled
