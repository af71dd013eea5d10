"""Joining: pictures untouched at their exact times, sound never re-timed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from fake_media import best_shift, make_sound, make_video, wave
from kouxing.errors import MediaError, NoSoundError, OutputError
from kouxing.media.metadata import read_mark
from kouxing.media.reader import load_sound, probe, read_video
from kouxing.media.writer import VideoWriter, join


def segments_of(source: Path, folder: Path, size: int = 7) -> list[Path]:
    """The video cut into segments of ``size`` frames."""
    frames = read_video(source)
    info = probe(source)
    paths: list[Path] = []
    while batch := list(islice(frames, size)):
        paths.append(folder / f"{len(paths):03}.mp4")
        with VideoWriter(paths[-1], like=info) as writer:
            for frame in batch:
                writer.write(frame)
    return paths


def packets(path: Path) -> Iterator[bytes]:
    with av.open(str(path)) as container:
        yield from (bytes(packet) for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"vfr": True}),
        ("b.mp4", {"vfr": True, "rate": Fraction(30000, 1001), "options": {"preset": "medium", "bf": "3"}}),
        ("odd.mkv", {"codec": "ffv1", "size": (161, 121)}),
    ],
)
def test_times_and_pictures(tmp_path: Path, name: str, options: dict, size: int) -> None:
    source, out = tmp_path / name, tmp_path / "out.mp4"
    make_video(source, **options)
    parts = segments_of(source, tmp_path, size)
    join(parts, out)
    assert [frame.time for frame in read_video(out)] == [frame.time for frame in read_video(source)]
    assert list(packets(out)) == [data for part in parts for data in packets(part)]
    first = next(read_video(parts[-1]))
    same = list(read_video(out))[size * (len(parts) - 1)]
    assert all(np.array_equal(a, b) for a, b in zip(first.planes, same.planes, strict=True))
    assert (probe(out).width, probe(out).height) == (probe(source).width, probe(source).height)


@pytest.mark.parametrize("vfr", [False, True])
def test_segments_with_b_frames_join_exactly_too(tmp_path: Path, vfr: bool) -> None:
    """Made by another encoder setting than ours: decode times are made anew."""
    base, step = Fraction(1, 90_000), Fraction(1, 25)
    starts = [n * step for n in range(30)]
    if vfr:
        starts = [n * step + (n % 3) * step / 4 for n in range(30)]
    parts = []
    for number in range(3):
        parts.append(tmp_path / f"{number}.mp4")
        make_video(
            parts[-1],
            times=starts[number * 10 : number * 10 + 10],
            options={"preset": "medium", "bf": "3"},
            muxer={"video_track_timescale": "90000", "movie_timescale": "90000"},
        )
    join(parts, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        got = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert got == [round(start / base) * base for start in starts]


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 37_800])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_sound_keeps_rate_layout_and_place(tmp_path: Path, rate: int, layout: str) -> None:
    make_video(tmp_path / "v.mp4", frames=50)
    make_sound(tmp_path / "s.wav", 2.0, rate, layout)
    out = tmp_path / "out.mp4"
    join(segments_of(tmp_path / "v.mp4", tmp_path, 20), out, sound=tmp_path / "s.wav")
    with av.open(str(out)) as container:
        track = container.streams.audio[0]
        assert (track.codec_context.name, track.layout.name) == ("aac", layout)
        assert track.rate == (48_000 if rate == 37_800 else rate)
    samples = load_sound(out, rate).samples
    assert abs(best_shift(samples, wave("speechlike", 2.0, rate), 3000)) <= 1
    assert abs(len(samples) - 2 * rate) <= 2
    assert probe(out).sound_seconds == 2


def test_surround_sound(tmp_path: Path) -> None:
    make_video(tmp_path / "v.mp4", frames=25)
    for layout, kept in (("5.1", "5.1"), ("quad", "stereo")):
        make_sound(tmp_path / "s.wav", 1.0, 48_000, layout)
        join(segments_of(tmp_path / "v.mp4", tmp_path), tmp_path / "out.mp4", sound=tmp_path / "s.wav")
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert container.streams.audio[0].layout.name == kept
        assert abs(best_shift(load_sound(tmp_path / "out.mp4").samples, wave("speechlike", 1.0, 48_000)[::3])) <= 1


@pytest.mark.parametrize("sound_s", [0.4, 3.0])
def test_sound_is_cut_or_followed_by_silence(tmp_path: Path, sound_s: float) -> None:
    make_video(tmp_path / "v.mp4", frames=25)
    make_sound(tmp_path / "s.wav", sound_s, 16_000, kind="tone")
    out = tmp_path / "out.mp4"
    join(segments_of(tmp_path / "v.mp4", tmp_path), out, sound=tmp_path / "s.wav", seconds=Fraction(1))
    samples = load_sound(out).samples
    assert len(samples) == 16_000
    end = int(min(sound_s, 1) * 16_000)
    assert np.abs(samples[2000 : end - 300] - wave("tone", 1.0, 16_000)[2000 : end - 300]).max() < 0.05
    assert np.abs(samples[end + 2000 :]).max(initial=0) < 0.01


def test_aac_is_copied(tmp_path: Path) -> None:
    make_video(tmp_path / "v.mp4", frames=50, sound_rate=48_000, layout="stereo", kind="speechlike")
    join(segments_of(tmp_path / "v.mp4", tmp_path), tmp_path / "out.mp4", sound=tmp_path / "v.mp4", seconds=Fraction(2))

    def coded(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert coded(tmp_path / "out.mp4") == coded(tmp_path / "v.mp4")
    same = load_sound(tmp_path / "out.mp4").samples
    assert np.array_equal(same, load_sound(tmp_path / "v.mp4").samples)


def test_last_picture_lasts_until_the_end(tmp_path: Path) -> None:
    make_video(tmp_path / "v.mp4", frames=10)
    join(segments_of(tmp_path / "v.mp4", tmp_path), tmp_path / "out.mp4", seconds=Fraction(3))
    assert probe(tmp_path / "out.mp4").seconds == 3


def test_tags_and_mark(tmp_path: Path) -> None:
    make_video(tmp_path / "v.mp4", frames=5)
    parts = segments_of(tmp_path / "v.mp4", tmp_path)
    join(parts, tmp_path / "out.mp4", metadata={"title": "A talk"}, mark=True)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "A talk"
        assert "ynthetic" in container.metadata["comment"]
    assert str(read_mark(tmp_path / "out.mp4")).endswith("/compositeWithTrainedAlgorithmicMedia")
    join(parts, tmp_path / "out.mp4", mark="trainedAlgorithmicMedia")
    assert str(read_mark(tmp_path / "out.mp4")).endswith("/trainedAlgorithmicMedia")
    join(parts, tmp_path / "out.mp4")
    assert read_mark(tmp_path / "out.mp4") is None


def test_what_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    make_video(tmp_path / "v.mp4", frames=14)
    make_video(tmp_path / "w.mp4", frames=14, size=(64, 48))
    make_sound(tmp_path / "none.wav", 0.0)
    one, two = segments_of(tmp_path / "v.mp4", tmp_path)
    (tmp_path / "w").mkdir()
    other = segments_of(tmp_path / "w.mp4", tmp_path / "w")[1]
    out = tmp_path / "out.mp4"
    for parts, sound, error in (
        ([two, one], None, MediaError),
        ([one, one], None, MediaError),
        ([one, other], None, MediaError),
        ([one, tmp_path / "missing.mp4"], None, MediaError),
        ([one, two], tmp_path / "v.mp4", NoSoundError),
        ([one, two], tmp_path / "none.wav", NoSoundError),
    ):
        with pytest.raises(error) as caught:
            join(parts, out, sound=sound, seconds=Fraction(1))
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.glob("out*"))
    with pytest.raises(OutputError):
        join([one, two], tmp_path / "nowhere" / "out.mp4")


def test_free_space_is_asked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "v.mp4", frames=5)
    parts = segments_of(tmp_path / "v.mp4", tmp_path)
    from shutil import _ntuple_diskusage  # type: ignore[attr-defined]

    monkeypatch.setattr("shutil.disk_usage", lambda path: _ntuple_diskusage(100, 99, 1))
    with pytest.raises(OutputError, match="free"):
        join(parts, tmp_path / "out.mp4")
