"""The mark that says a medium is synthetic."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from fake_media import make_sound, make_video
from kouxing.errors import MediaError
from kouxing.media.boxes import is_whole, top_boxes
from kouxing.media.metadata import ALL_MADE, COMPOSITE, mark_synthetic, read_mark
from kouxing.media.reader import read_video


def test_mark_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    times = make_video(path, frames=5)
    before = path.read_bytes()
    assert read_mark(path) is None
    mark_synthetic(path)
    assert read_mark(path) == f"http://cv.iptc.org/newscodes/digitalsourcetype/{COMPOSITE}"
    assert path.read_bytes().startswith(before) and is_whole(path)
    assert [frame.time for frame in read_video(path)] == times


def test_marking_again_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_video(path, frames=2)
    mark_synthetic(path)
    once = path.stat().st_size
    mark_synthetic(path)
    assert path.stat().st_size == once
    mark_synthetic(path, ALL_MADE)
    assert str(read_mark(path)).endswith(ALL_MADE)
    assert [box.kind for box in top_boxes(path)].count(b"uuid") == 1


def test_the_packet_is_xmp(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_video(path, frames=2)
    mark_synthetic(path)
    box = top_boxes(path)[-1]
    body = path.read_bytes()[box.inside : box.end]
    assert body[:16].hex().upper() == "BE7ACFCB97A942E89C71999491E3AFAC"
    root = ElementTree.fromstring(body[16:].decode().removeprefix("\ufeff"))
    found = root.findall(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert [item.text for item in found] == [read_mark(path)]


def test_what_cannot_be_marked(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav", 0.1)
    make_video(tmp_path / "b.mp4", frames=5)
    whole = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("a.wav", "b.mp4", "missing.mp4"):
        with pytest.raises(MediaError, match=name):
            mark_synthetic(tmp_path / name)
    assert read_mark(tmp_path / "a.wav") is None
    with pytest.raises(MediaError):
        read_mark(tmp_path / "missing.mp4")
    with pytest.raises(ValueError, match="human"):
        mark_synthetic(tmp_path / "a.wav", "human")
