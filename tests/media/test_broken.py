"""A corpus of broken files, made by code: each gives one clear line, or what of it can be used."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fake_media import make_picture, make_sound, make_video
from kouxing.errors import MediaError, NoSoundError, NoVideoError
from kouxing.media.reader import load_sound, probe, read_video

TEXT = "This is not a video.\n" * 200


def use_video(path: Path) -> int:
    return sum(1 for _ in read_video(path))


def use_sound(path: Path) -> int:
    return len(load_sound(path).samples)


def one_line(error: pytest.ExceptionInfo[MediaError], path: Path) -> None:
    text = str(error.value)
    assert "\n" not in text and path.name in text and len(text) < 250 + len(str(path))


def test_missing_folder_empty(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    for name, word in (("missing.mp4", "does not exist"), ("folder.mp4", "is a folder"), ("empty.mp4", "is empty")):
        for use in (probe, use_video, use_sound):
            with pytest.raises(MediaError, match=word) as error:
                use(tmp_path / name)
            one_line(error, tmp_path / name)
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(MediaError, match="does not exist"):
            probe(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.wav", "a.txt", "a.mkv", "a.jpg", "a.mp3"])
@pytest.mark.parametrize("content", [TEXT.encode(), b"\0" * 5000, random.Random(3).randbytes(5000), b"x"])
def test_mislabelled(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for use in (probe, use_video, use_sound):
        with pytest.raises(MediaError) as error:
            use(path)
        one_line(error, path)


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nv.ts\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile v.ts\n"],
)
def test_lists_of_other_files_are_not_followed(tmp_path: Path, text: str) -> None:
    make_video(tmp_path / "v.ts", frames=5)
    path = tmp_path / "list.m3u8"
    path.write_text(text)
    with pytest.raises(MediaError) as error:
        probe(path)
    one_line(error, path)


def test_right_content_wrong_name(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", frames=5)
    (tmp_path / "a.mkv").rename(tmp_path / "a.mp3")
    assert use_video(tmp_path / "a.mp3") == 5


def test_strange_names(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", frames=3)
    for name in ("http:a.mkv", "%d.mkv", "口型 -i.mkv", "a'b\"c.mkv"):
        (tmp_path / name).write_bytes((tmp_path / "a.mkv").read_bytes())
        assert use_video(tmp_path / name) == 3


@pytest.mark.parametrize("name", ["a.mp4", "fast.mp4", "a.mkv", "a.ts", "a.avi"])
def test_truncated(tmp_path: Path, name: str) -> None:
    """What decodes is used; where nothing does, there is an error, and never anything else."""
    path = tmp_path / name
    muxer = {"movflags": "+faststart"} if name == "fast.mp4" else {}
    make_video(path, frames=30, sound_rate=16_000, kind="noise", muxer=muxer, options={"g": "10"})
    whole = path.read_bytes()
    counts = {}
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: max(1, int(len(whole) * share))])
        for use, wanted in ((use_video, MediaError), (use_sound, MediaError)):
            try:
                counts[use, share] = use(path)
            except wanted as error:
                assert "\n" not in str(error)
    if name != "a.mp4":
        # Files that can be read from the front give about as much as is left of them.
        assert 10 <= counts[use_video, 0.9] <= 30
        assert counts[use_sound, 0.9] >= (1000 if name != "a.ts" else 1)
    else:
        assert not counts  # its index comes last


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    make_video(path, frames=40, sound_rate=16_000, kind="noise", options={"g": "8"})
    data = bytearray(path.read_bytes())
    for position in random.Random(5).sample(range(2000, len(data)), 60):
        data[position] ^= 0xFF
    path.write_bytes(data)
    assert use_video(path) > 5
    assert use_sound(path) > 1000


def test_damaged_picture(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        make_picture(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:30])
        with pytest.raises(MediaError) as error:
            use_video(tmp_path / name)
        one_line(error, tmp_path / name)


def test_only_the_other_half(tmp_path: Path) -> None:
    make_sound(tmp_path / "s.wav", 0.5)
    make_sound(tmp_path / "s.m4a", 0.5)
    make_video(tmp_path / "v.mp4", frames=3)
    make_picture(tmp_path / "p.png")
    for name in ("s.wav", "s.m4a"):
        assert not probe(tmp_path / name).has_video
        with pytest.raises(NoVideoError) as error:
            use_video(tmp_path / name)
        one_line(error, tmp_path / name)
    for name in ("v.mp4", "p.png"):
        assert not probe(tmp_path / name).has_sound
        with pytest.raises(NoSoundError) as error:
            use_sound(tmp_path / name)
        one_line(error, tmp_path / name)


def test_sound_of_0_s(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav", 0.0)
    with pytest.raises(NoSoundError) as error:
        use_sound(tmp_path / "a.wav")
    one_line(error, tmp_path / "a.wav")
