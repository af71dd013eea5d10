"""What recorders, cutters and joiners leave: no rate, a beginning between key frames, clocks that jump, odd orders."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fake_media import best_shift, make_video, wave
from kouxing.media.reader import load_sound, probe, read_video


def remuxed(source: Path, out: Path, change: Callable[[Any, int], bool], **options: str) -> Path:
    """Copy packets; ``change`` may change one, given its number among its stream's, and says whether it is kept."""
    with av.open(str(source)) as given, av.open(str(out), "w", options=options) as made:
        tracks = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        numbers = dict.fromkeys(tracks, 0)
        for packet in given.demux():
            if packet.dts is None:
                continue
            number = numbers[packet.stream.index]
            numbers[packet.stream.index] += 1
            if change(packet, number):
                packet.stream = tracks[packet.stream.index]
                made.mux(packet)
    return out


def levels(path: Path) -> dict[Fraction, float]:
    return {frame.time: float(frame.planes[0].mean()) for frame in read_video(path)}


def rising(number: int) -> Any:
    return np.full((120, 160, 3), 40 + 3 * number, np.uint8)


@pytest.mark.parametrize("jitter", [(0, 3, 7, -4), (0, 9, -8, 4, 1)])
def test_recordings_of_browsers_tell_no_rate(tmp_path: Path, jitter: tuple[int, ...]) -> None:
    make_video(tmp_path / "a.webm", frames=50)

    def plain(packet: Any, number: int) -> bool:
        packet.time_base, packet.duration = Fraction(1, 1000), 0
        packet.pts = packet.dts = 40 * number + (jitter[number % len(jitter)] if number else 0)
        return True

    made = remuxed(tmp_path / "a.webm", tmp_path / "b.webm", plain, live="1")
    with av.open(str(made)) as container:
        assert not container.streams.video[0].average_rate
    rate = probe(made).rate
    assert rate is not None and float(rate) == pytest.approx(25, rel=0.01)


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.ts"])
def test_sound_begins_with_the_first_picture_that_can_be_seen(tmp_path: Path, name: str) -> None:
    make_video(
        tmp_path / "a.mp4", frames=75, sound_rate=48_000, kind="speechlike", options={"g": "25", "bf": "0"}
    )  # fmt: skip
    # A recorder that came 0.4 s late; the next key frame is at 1 s.
    made = remuxed(tmp_path / "a.mp4", tmp_path / name, lambda packet, _: packet.pts * packet.time_base >= 0.4)
    want = wave("speechlike", 3.0, 48_000)[48_000::3]
    assert len(levels(made)) == 50
    assert abs(best_shift(load_sound(made).samples, want)) <= 16


def test_pictures_of_an_avi_are_in_order(tmp_path: Path) -> None:
    make_video(tmp_path / "a.avi", frames=50, codec="libx264", picture=rising, options={"bf": "3", "b-adapt": "0"})
    seen = levels(tmp_path / "a.avi")
    assert list(seen) == [Fraction(number, 25) for number in range(50)]
    assert list(seen.values()) == sorted(seen.values())
    sought = next(read_video(tmp_path / "a.avi", Fraction(1)))
    assert sought.time == 1 and abs(float(sought.planes[0].mean()) - seen[Fraction(1)]) < 2


@pytest.mark.parametrize("jump_s", [1000, -1000])
def test_joined_broadcasts_go_on_where_the_clock_jumps(tmp_path: Path, jump_s: int) -> None:
    for name, begin in (("a", max(0, -jump_s)), ("b", max(0, jump_s))):
        times = [begin + Fraction(number, 25) for number in range(50)]
        make_video(tmp_path / f"{name}.ts", times=times, picture=rising, options={"g": "25", "bf": "0"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    seen = levels(joined)
    assert list(seen) == [Fraction(number, 25) for number in range(100)]
    sought = next(read_video(joined, Fraction(3)))
    assert sought.time == 3 and abs(float(sought.planes[0].mean()) - seen[Fraction(3)]) < 2


def test_a_slide_that_stands_for_long_is_no_jump(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", times=[Fraction(0), Fraction(1), Fraction(1001)])
    assert [frame.time for frame in read_video(tmp_path / "a.mkv")] == [0, 1, 1001]
