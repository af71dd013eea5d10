"""Finding footage, naming it, and looking into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_media import make_video, wave
from kouxing.errors import MediaError, OutputError
from kouxing.infer.prepare.find import Inspection, footage, inspect, sound_of, source_of
from kouxing.infer.prepare.plan import Places


def test_files_are_found_once_in_order(tmp_path: Path) -> None:
    for name in ("b/one.MP4", "a/one.mp4", "a/x/one.mp4", "a/.cache/no.mp4", "a/note.txt", "b/set/clips/own.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    loose = tmp_path / "loose.bin"
    loose.write_bytes(b"1")
    given = [tmp_path / "b", tmp_path / "a", loose, tmp_path / "a" / "one.mp4", tmp_path / "a"]
    labels = [label for label, _ in footage(given, tmp_path / "b" / "set")]
    assert labels == ["a/one.mp4", "a/x/one.mp4", "b/one.MP4", "loose.bin", "one.mp4"]
    # Two folders of one name hold different files.
    (tmp_path / "c" / "a").mkdir(parents=True)
    (tmp_path / "c" / "a" / "one.mp4").write_bytes(b"2")
    labels = [label for label, _ in footage([tmp_path / "a", tmp_path / "c" / "a"], tmp_path / "set")]
    assert labels == ["a/one.mp4", "a/one.mp4#2", "a/x/one.mp4"]


def test_names_are_plain_and_tell_content(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"first")
    one = source_of("Ünder/Mein Film (1).mp4", path)
    assert one.id.startswith("mein-film-1-") and one.id == source_of("Ünder/Mein Film (1).mp4", path).id
    assert one.id != source_of("other/Mein Film (1).mp4", path).id
    path.write_bytes(b"other")
    assert source_of("Ünder/Mein Film (1).mp4", path).name != one.name
    assert source_of("???.mp4", path).id.startswith("clip-")
    with pytest.raises(MediaError):
        source_of("gone", tmp_path / "gone.mp4")


def test_sound_is_kept_on_the_pictures_clock(tmp_path: Path) -> None:
    places = Places(tmp_path / "set")
    (places.work / "sound").mkdir(parents=True)
    path = tmp_path / "short.mp4"
    make_video(path, frames=75, size=(64, 48), sound_rate=48000, sound_seconds=1.2, kind="speechlike")
    source = source_of("short.mp4", path)
    row = inspect(Inspection(places, source))
    assert row["seconds"] == pytest.approx(1.2, abs=0.03) and row["unheard"] == pytest.approx(1.8, abs=0.03)
    assert (row["width"], row["height"], row["rate"]) == (64, 48, 25)
    part = sound_of(places, source, 4000, 8000)
    want = wave("speechlike", 1.2, 16000)[4000:8000]
    assert len(part) == 4000 and np.corrcoef(part, want)[0, 1] > 0.98
    assert len(sound_of(places, source, 16000, 99999)) == pytest.approx(3200, abs=500)


def test_a_folder_that_cannot_be_written_stops_the_job(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    make_video(path, frames=5, size=(64, 48), sound_rate=16000)
    with pytest.raises(OutputError):
        inspect(Inspection(Places(path), source_of("short.mp4", path)))
