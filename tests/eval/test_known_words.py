"""Sentences in file names, and their phones laid onto a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing.audio.features import SILENT_MEL
from kouxing.eval import known_words
from kouxing.text.phones import CLASS, Phone


def test_grid_names_tell_their_words() -> None:
    assert known_words.sentence("o/r: a/GRID/lbax4n.mpg") == "lay blue at X. four now"
    assert known_words.sentence("o/r: 800ms/f1_s33_bwwy3s/video.mpg") == "bin white with Y. three soon"
    # There is no letter w, and other names tell nothing.
    assert known_words.sentence("o/r: swwwzp.mpg") is None and known_words.sentence("o/r: place.mp4") is None


def test_warping_follows_what_was_said() -> None:
    cost = np.array([[0, 9, 9], [0, 9, 9], [9, 0, 9], [9, 9, 0], [9, 9, 0]], float)
    assert known_words.warped(cost).tolist() == [0, 0, 1, 2, 2]
    rng = np.random.default_rng(0)
    sounds = rng.normal(0, 1, (3, 80)).astype(np.float32)
    said = np.repeat(np.vstack([np.full((1, 80), SILENT_MEL), sounds]), [20, 10, 10, 10], axis=0).astype(np.float32)
    heard = np.repeat(np.vstack([np.full((1, 80), -1.5), sounds]), [60, 30, 20, 15], axis=0).astype(np.float32)
    heard += rng.normal(0, 0.05, heard.shape)
    phones = [Phone("m", 0.2, 0.3), Phone("i", 0.3, 0.4), Phone("ɑ", 0.4, 0.5)]
    classes = known_words.aligned(heard, said, phones)
    wanted = np.repeat([CLASS[name] for name in ("rest", "bilabial", "spread", "open")], [60, 30, 20, 15])
    assert (classes == wanted).mean() > 0.95


def test_frames_about_bilabials() -> None:
    classes = np.full(400, CLASS["open"], np.int64)
    classes[201] = CLASS["bilabial"]
    near = known_words.near_bilabials(classes)
    assert len(near) == 100 and np.flatnonzero(near).tolist() == list(range(47, 54))


def test_takes_without_words_need_no_synthesis(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("id,source\na,somewhere.mp4\n")
    assert known_words.classes_of(tmp_path, []) == {}
