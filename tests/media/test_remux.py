"""Sound moved against its pictures: by the right time for every reader, pictures the same bytes at the same times."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fake_media import best_shift, make_sound, make_video
from kouxing.errors import MediaError, NoSoundError, NoVideoError, OptionError, OutputError
from kouxing.media import remux
from kouxing.media.metadata import ALL_MADE, mark_synthetic, read_mark
from kouxing.media.reader import load_sound, probe, read_video
from kouxing.media.remux import MUXERS, check_copy, check_target, copy_file, move_sound
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

KINDS = {
    "b-frames.mp4": {"options": {"preset": "medium", "bf": "3"}, "sound_rate": 48_000},
    "turned.mp4": {"rotation": 90, "sound_rate": SAMPLE_HZ},
    "uneven.mp4": {"vfr": True, "sound_rate": 44_100, "layout": "stereo", "frames": 30},
    "apple.mov": {"sound_rate": 44_100},
    "pcm.mkv": {"sound_rate": 44_100, "options": {"preset": "medium", "bf": "2"}},
    "opus.webm": {"sound_rate": 48_000, "size": (64, 48)},
    "stream.ts": {"sound_rate": 48_000, "options": {"preset": "medium", "bf": "2"}},
    "old.avi": {"sound_rate": 44_100},
}

LAVFI = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1"]


def packets(path: Path) -> Iterator[tuple[bytes, Fraction | None]]:
    """Bytes and time of each video packet, from the first picture on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.size:
                time = None if packet.pts is None else (packet.pts - (stream.start_time or 0)) * stream.time_base
                yield bytes(packet), time


def heard_by_ffmpeg(path: Path) -> NDArray[np.float32]:
    """The sound as the ffmpeg command plays it against the first picture."""
    words = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-af",
        "aresample=async=1:first_pts=0",
        "-ac",
        "1",
    ]
    done = subprocess.run([*words, "-ar", str(SAMPLE_HZ), "-f", "f32le", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32)


@pytest.mark.parametrize("earlier", [-12, -1, 5])
@pytest.mark.parametrize("name", KINDS)
def test_the_sound_moves_and_nothing_else(tmp_path: Path, name: str, earlier: int) -> None:
    source, out = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    make_video(source, **{"frames": 60, "kind": "speechlike", **KINDS[name]})
    moved = move_sound(source, out, Fraction(earlier, FRAME_HZ))
    assert moved.copied == (not name.endswith(".avi"))
    assert list(packets(out)) == list(packets(source))
    assert [one.time for one in read_video(out)] == [one.time for one in read_video(source)]
    before, after = probe(source), probe(out)
    assert (after.width, after.height, after.rotation_deg) == (before.width, before.height, before.rotation_deg)
    was, now = load_sound(source).samples, load_sound(out).samples
    assert -best_shift(now, was, 10_000) / SAMPLES_PER_FRAME == pytest.approx(earlier, abs=0.1)
    assert len(now) <= len(was) + SAMPLE_HZ // 2
    # A stream's own clock starts anew when ffmpeg reads it without its pictures.
    if shutil.which("ffmpeg") and not name.endswith(".ts"):
        was, now = heard_by_ffmpeg(source), heard_by_ffmpeg(out)
        assert -best_shift(now, was, 10_000) / SAMPLES_PER_FRAME == pytest.approx(earlier, abs=0.25)


def test_forth_and_back_again(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{n}.mp4" for n in range(3))
    make_video(first, frames=75, kind="speechlike", sound_rate=48_000)
    move_sound(first, second, Fraction(-7, FRAME_HZ))
    move_sound(second, third, Fraction(7, FRAME_HZ))
    assert abs(best_shift(load_sound(third).samples, load_sound(first).samples)) < SAMPLES_PER_FRAME / 20


def test_a_cut_start_is_not_heard(tmp_path: Path) -> None:
    """What lay before the first picture is gone, in MP4 to the sample, and no other sound comes in its place."""
    source, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    rate = 48_000
    wave = np.zeros(3 * rate, np.float32)
    wave[: rate // 2] = 0.5 * np.sin(np.arange(rate // 2) / 10)
    make_video(source, frames=75, sound_rate=rate, samples=wave)
    move_sound(source, out, Fraction(1, 2))
    assert np.abs(load_sound(out).samples[SAMPLE_HZ // 20 :]).max() < 0.01


def test_other_tracks_stay(tmp_path: Path) -> None:
    source, out = tmp_path / "a.mkv", tmp_path / "b.mkv"
    plain, other = tmp_path / "plain.mp4", tmp_path / "other.m4a"
    make_video(plain, frames=75, kind="speechlike", sound_rate=48_000)
    make_sound(other, 3, 48_000, kind="tone")
    with av.open(str(plain)) as first, av.open(str(other)) as second, av.open(str(source), "w") as made:
        made.metadata["title"] = "talk"
        pairs = [(first, first.streams.video[0]), (first, first.streams.audio[0]), (second, second.streams.audio[0])]
        tracks = [made.add_stream_from_template(stream) for _, stream in pairs]
        tracks[2].disposition = 0
        for (container, stream), track in zip(pairs, tracks, strict=True):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.size:
                    packet.stream = track
                    made.mux(packet)
    moved = move_sound(source, out, Fraction(4, FRAME_HZ))
    assert "only the sound track that was measured" in moved.notes[0]
    with av.open(str(out)) as made, av.open(str(source)) as was:
        assert made.metadata["title"] == "talk"
        assert [stream.type for stream in made.streams] == ["video", "audio", "audio"]
        kept = [[bytes(packet) for packet in one.demux(audio=1) if packet.size] for one in (made, was)]
        assert kept[0] == kept[1]


def test_pictures_behind_their_lengths_get_start_codes(tmp_path: Path) -> None:
    """As MP4 holds H.264, and some AVIs do, in which nobody looks for it."""
    source, out = tmp_path / "a.mp4", tmp_path / "b.avi"
    make_video(source, frames=50, kind="speechlike", sound_rate=48_000, options={"bf": "0"})
    with av.open(str(source)) as made:
        told = made.streams.video[0].codec_context.extradata
        assert told is not None and told[0] == 1
    remux._coded(source, out, "avi", Fraction(1, 5))
    for one, other in zip(read_video(source), read_video(out), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.mp4"
    make_video(source, frames=10, sound_rate=48_000)
    with pytest.raises(OptionError, match="so end it in"):
        check_target(source, tmp_path / "b.mkv")
    with pytest.raises(OptionError, match="cannot be written"):
        check_target(source, tmp_path / "b.txt")
    check_target(source, tmp_path / "b.m4v")
    with pytest.raises(OutputError, match="does not exist"):
        move_sound(source, tmp_path / "no" / "b.mp4", Fraction(1, 5))
    quiet = tmp_path / "quiet.mp4"
    make_video(quiet, frames=10)
    with pytest.raises(NoSoundError):
        move_sound(quiet, tmp_path / "b.mp4", Fraction(1, 5))
    make_sound(tmp_path / "s.mp4", 1, 48_000)
    with pytest.raises(NoVideoError):
        move_sound(tmp_path / "s.mp4", tmp_path / "b.mp4", Fraction(1, 5))
    (tmp_path / "broken.mp4").write_bytes(source.read_bytes()[:500])
    with pytest.raises(MediaError):
        move_sound(tmp_path / "broken.mp4", tmp_path / "b.mp4", Fraction(1, 5))
    monkeypatch.setattr(remux, "is_whole", lambda path: False)
    (tmp_path / "b.mp4").write_bytes(b"old")
    with pytest.raises(OutputError, match="cut off"):
        move_sound(source, tmp_path / "b.mp4", Fraction(1, 5))
    assert (tmp_path / "b.mp4").read_bytes() == b"old"
    assert not list(tmp_path.glob("*.part"))


def test_a_copy_is_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"some bytes")
    copy_file(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == b"some bytes"
    assert set(MUXERS.values()) >= remux.TIMED


def test_mp3_in_an_avi_is_coded_again(tmp_path: Path) -> None:
    source, out = tmp_path / "a.avi", tmp_path / "b.avi"
    make_video(tmp_path / "a.mp4", frames=60, kind="speechlike", sound_rate=44_100)
    words = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.mp4"), "-c:v", "mpeg4", "-c:a", "libmp3lame", str(source)]
    subprocess.run(words, check=True)
    assert not move_sound(source, out, Fraction(3, FRAME_HZ)).copied
    was, now = load_sound(source).samples, load_sound(out).samples
    assert -best_shift(now, was, 10_000) / SAMPLES_PER_FRAME == pytest.approx(3, abs=0.1)


def test_the_shape_of_pixels_and_the_mark_stay(tmp_path: Path) -> None:
    made, source, out = (tmp_path / f"{name}.mp4" for name in "abc")
    make_video(made, frames=40, kind="speechlike", sound_rate=44_100)
    words = ["ffmpeg", "-v", "error", "-i", str(made), "-c", "copy", "-aspect", "16:9", str(source)]
    subprocess.run(words, check=True)
    mark_synthetic(source, ALL_MADE)
    move_sound(source, out, Fraction(2, FRAME_HZ))
    assert probe(out).sample_aspect == probe(source).sample_aspect == Fraction(4, 3)
    assert read_mark(out) == read_mark(source) is not None
    loose = tmp_path / "d.mkv"
    subprocess.run([*words[:-1], str(loose)], check=True)
    assert any("4:3" in note for note in move_sound(loose, tmp_path / "e.mkv", Fraction(2, FRAME_HZ)).notes)


@pytest.mark.parametrize(("codec", "tag", "name"), [("libx265", "hvc1", "a.mov"), ("libx264", "avc3", "a.mp4")])
def test_the_coder_keeps_the_name_that_the_file_gives_it(tmp_path: Path, codec: str, tag: str, name: str) -> None:
    # QuickTime does not play hev1.
    first = tmp_path / f"0{name}"
    make_video(first, frames=20, codec=codec, sound_rate=48_000)
    with av.open(str(first)) as given, av.open(str(tmp_path / name), "w") as made:
        tracks = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        tracks[given.streams.video[0].index].codec_context.codec_tag = tag
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                made.mux(packet)
    out = tmp_path / f"out{Path(name).suffix}"
    move_sound(tmp_path / name, out, Fraction(2, FRAME_HZ))
    with av.open(str(out)) as made:
        assert made.streams.video[0].codec_context.codec_tag == tag


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_av1_is_copied_though_its_decoder_encodes_nothing(tmp_path: Path, name: str) -> None:
    source, out = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    make_video(source, codec="libsvtav1", frames=30, kind="speechlike", sound_rate=48_000, options={"preset": "12"})
    check_copy(source, out)
    assert move_sound(source, out, Fraction(4, FRAME_HZ)).copied
    assert list(packets(out)) == list(packets(source))
    was, now = load_sound(source).samples, load_sound(out).samples
    assert -best_shift(now, was, 10_000) / SAMPLES_PER_FRAME == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_name_that_the_container_does_not_know_is_left_to_it(tmp_path: Path, suffix: str) -> None:
    # QuickTime's name of motion JPEG, which cameras write into MP4 too.
    source, out = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    words = ["ffmpeg", "-v", "error", *LAVFI, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-f", "mov", str(source)]
    subprocess.run(words, check=True)
    move_sound(source, out, Fraction(2, FRAME_HZ))
    assert list(packets(out)) == list(packets(source))


def test_uncompressed_sound_of_editing_programs_is_copied(tmp_path: Path) -> None:
    source, out = tmp_path / "a.mov", tmp_path / "b.mov"
    coded = ["-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s24le", "-ar", "96000"]
    subprocess.run(["ffmpeg", "-v", "error", *LAVFI, *coded, str(source)], check=True)
    with av.open(str(source)) as made:
        assert made.streams.audio[0].codec_context.codec_tag == "lpcm"
    assert move_sound(source, out, Fraction(2, FRAME_HZ)).copied
    assert list(packets(out)) == list(packets(source))
    was, now = load_sound(source).samples, load_sound(out).samples
    assert np.allclose(was[2 * SAMPLES_PER_FRAME :], now, atol=0.01)


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_what_phones_tell_and_the_timecode_stay(tmp_path: Path, suffix: str) -> None:
    source, out = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    told = {"title": "talk", "com.apple.quicktime.make": "Maker", "com.apple.quicktime.location.ISO6709": "+48+011/"}
    words = [word for key, value in told.items() for word in ("-metadata", f"{key}={value}")]
    coded = ["-c:v", "libx264", "-metadata:s:v:0", "timecode=10:00:00:05", "-movflags", "use_metadata_tags"]
    subprocess.run(["ffmpeg", "-v", "error", *LAVFI, *coded, *words, str(source)], check=True)
    mark_synthetic(source, ALL_MADE)
    assert move_sound(source, out, Fraction(2, FRAME_HZ)).notes == ()
    with av.open(str(source)) as was, av.open(str(out)) as made:
        for one in (was, made):
            assert told.items() <= one.metadata.items()
            assert one.streams.data[0].metadata["timecode"] == "10:00:00:05"
            assert one.streams.video[0].metadata["timecode"] == "10:00:00:05"
    assert read_mark(out) == read_mark(source)


def test_what_a_container_does_not_hold_is_said_before_long_work(tmp_path: Path) -> None:
    made, source = tmp_path / "a.mkv", tmp_path / "a.webm"
    make_video(made, frames=10, sound_rate=48_000)
    made.rename(source)
    for work in (check_copy, lambda *paths: move_sound(*paths, Fraction(1, 5))):
        with pytest.raises(MediaError, match=r"pictures \(h264\) cannot be copied into webm"):
            work(source, tmp_path / "b.webm")
    make_video(tmp_path / "a.avi", frames=10, sound_rate=48_000)
    check_copy(tmp_path / "a.avi", tmp_path / "b.avi")
