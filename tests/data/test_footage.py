"""The cache of prepared footage: what is kept is of the files that lie there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fake_data import make_data
from kouxing.data.footage import cache_folder, load_footage
from kouxing.data.mouths import load_mouths


def test_a_clip_made_anew_is_prepared_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    data, other = make_data(tmp_path / "set"), make_data(tmp_path / "other", frames=30)
    assert [len(one) for one in load_footage(data, "val")] == [len(one) for one in load_mouths(data, "val")] == [40]
    (kept,) = cache_folder(data).glob("clip-*.npz")
    written = kept.stat().st_mtime_ns
    assert [len(one) for one in load_footage(data, "val")] == [40] and kept.stat().st_mtime_ns == written
    for folder, ending in (("clips", "mp4"), ("tracks", "npz")):
        shutil.copy(other / folder / f"clip-2.{ending}", data / folder / f"clip-2.{ending}")
    assert [len(one) for one in load_mouths(data, "val")] == [len(one) for one in load_footage(data, "val")] == [30]
    # A track made anew is seldom longer or shorter in bytes.
    track = data / "tracks" / "clip-2.npz"
    size = track.stat().st_size
    with np.load(track) as file:
        tracked = {name: file[name] for name in file.files}
    tracked["lips"][:, 0] += 1
    np.savez(track, **tracked)
    written = kept.stat().st_mtime_ns
    assert track.stat().st_size == size
    assert [len(one) for one in load_footage(data, "val")] == [30] and kept.stat().st_mtime_ns > written
    # What a failing disk left of it is made anew.
    for left in cache_folder(data).rglob("*.npz"):
        left.write_bytes(left.read_bytes()[:1000])
    assert [len(one) for one in load_mouths(data, "val")] == [len(one) for one in load_footage(data, "val")] == [30]
    # What an older program kept does not tell what it is of, and is taken as it is.
    with np.load(kept) as file:
        stored = {name: file[name] for name in file.files if name != "crc"}
    np.savez(kept, **stored)
    shutil.copy(tmp_path / "other" / "clips" / "clip-1.mp4", data / "clips" / "clip-2.mp4")
    assert [len(one) for one in load_footage(data, "val")] == [30]
