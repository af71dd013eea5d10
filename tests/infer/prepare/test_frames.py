"""25 frames a second of any footage: the nearest picture, the same whichever chunk it is read in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fake_media import frame_times, make_video
from kouxing.infer.prepare.frames import chunk_frames, nearest, square
from kouxing.types import Colour, VideoFrame

BLANK = np.zeros((4, 4), np.uint8)
PLAIN = Colour("yuv420p", "bt601", False)


def frames_at(times: list[Fraction]) -> list[VideoFrame]:
    base = Fraction(1, 3000)
    return [VideoFrame((BLANK, BLANK, BLANK), int(time / base), base, PLAIN) for time in times]


@pytest.mark.parametrize(
    "times",
    [
        [Fraction(n, 25) for n in range(40)],
        [Fraction(n, 30) for n in range(40)],
        [Fraction(n, 50) for n in range(70)],
        [Fraction(n, 10) for n in range(15)],
        frame_times(40, Fraction(50), True),
    ],
)
def test_nearest_picture_in_time(times: list[Fraction]) -> None:
    shown = [frame.time for frame in nearest(frames_at(times), 0, 1000)]
    wanted = []
    for number in range(1000):
        time = Fraction(number, 25)
        if time > times[-1] + Fraction(1, 50):
            break
        wanted.append(min(times, key=lambda one, time=time: (abs(one - time), one)))
    assert shown == wanted
    # A part of it is the part of the whole.
    assert [frame.time for frame in nearest(frames_at(times), 7, 19)] == wanted[7:19]
    assert list(nearest([], 0, 5)) == []


def test_chunks_join_to_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "thirty.mp4"
    make_video(path, frames=60, size=(64, 48), rate=30)
    whole = [(frame.planes[0].copy(), fresh) for frame, fresh in chunk_frames(path, 0, 1000)]
    assert len(whole) == 50 and all(fresh for _, fresh in whole)
    parts = [frame.planes[0].copy() for a, b in ((0, 13), (13, 37), (37, 99)) for frame, _ in chunk_frames(path, a, b)]
    assert len(parts) == len(whole)
    assert all(np.array_equal(one, two) for one, (two, _) in zip(parts, whole, strict=True))


def test_held_pictures_are_told(tmp_path: Path) -> None:
    path = tmp_path / "slow.mp4"
    make_video(path, frames=6, size=(64, 48), rate=5)
    fresh = [one for _, one in chunk_frames(path, 0, 1000)]
    assert fresh.count(True) == 6 and len(fresh) == 26


def test_square_pixels() -> None:
    planes = (np.zeros((48, 64), np.uint8), np.zeros((24, 32), np.uint8), np.zeros((24, 32), np.uint8))
    frame = VideoFrame(planes, 0, Fraction(1, 25), PLAIN)
    assert square(frame, Fraction(1)) is frame
    wide = square(frame, Fraction(4, 3))
    assert (wide.width, wide.height) == (86, 48) and wide.planes[1].shape == (24, 43)
