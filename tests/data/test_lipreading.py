"""GRID's words and phones, and the stretches that the lip reader learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kouxing.data import grid
from kouxing.data.grid import LEXICON, PHONES, WORDS, Word
from kouxing.data.lipreading import UNREAD_FRAMES, LipReadingSamples
from kouxing.data.manifest import Clip
from kouxing.data.mouths import Mouths
from kouxing.errors import DataError


def clip(name: str, frames: int) -> Mouths:
    row = Clip(name, "train", "s", "en", frames / 25, "open", "made")
    pictures = np.zeros((frames, 48, 64), np.uint8)
    # Each frame tells its number.
    pictures[:] = (np.arange(frames) * 2 + 20)[:, None, None]
    pictures[:, ::2] += 20
    return Mouths(
        row, pictures, np.zeros((4 * frames, 80), np.float32), np.zeros((frames, 16), np.float32),
        np.zeros(frames, np.float32), np.zeros(frames, bool), np.ones(frames, bool),
    )  # fmt: skip


def test_every_word_of_the_grammar_can_be_said() -> None:
    words = [word for place in WORDS for word in place.values()]
    assert len(set(words)) == 51 and set(words) == set(LEXICON)
    assert {phone for said in LEXICON.values() for phone in said} == set(PHONES)
    assert len(WORDS[3]) == 25


def test_sentences_are_read_from_names() -> None:
    assert grid.sentence("o/r: a/GRID/lbax4n.mpg") == ("lay", "blue", "at", "x", "four", "now")
    assert grid.sentence("o/r: videos/s29_bgak6n_gt.webm") == ("bin", "green", "at", "k", "six", "now")
    remarked = "o/r: videos/s29_bgak6n_gt.webm (GRID corpus, CC BY 4.0)"
    assert grid.sentence(remarked) == grid.sentence("o/r: videos/s29_bgak6n_gt.webm")
    assert grid.sentence("o/r: swwwzp.mpg") is None and grid.sentence("") is None


def test_transcripts_take_times_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "align").mkdir()
    (tmp_path / "manifest.csv").write_text(
        "id,split,source\na,train,o/r: x/bbaf2n.mpg\nb,train,o/r: swwp2s.mpg\nc,train,o/r: other.mp4\n"
    )
    told = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 sp\n35500 41000 f\n41000 53000 sil\n"
    (tmp_path / "align" / "bbaf2n.align").write_text(told)
    found = grid.transcripts(tmp_path)
    assert found["a"] == (Word("bin", 24, 30), Word("blue", 30, 34), Word("f", 36, 41))
    assert [word.text for word in found["b"]] == ["set", "white", "with", "p", "two", "soon"]
    assert found["b"][0].first is None and set(found) == {"a", "b"}
    assert [PHONES[one] for one in grid.phones_of(found["a"])] == ["B", "IH", "N", "B", "L", "UW", "EH", "F"]
    for bad in ("0 1 unheard\n", "0 x bin\n", "0 bin\n"):
        (tmp_path / "align" / "bbaf2n.align").write_text(bad)
        with pytest.raises(DataError, match=r"bbaf2n\.align"):
            grid.transcripts(tmp_path)
    labels = grid.frame_phones(found["a"], 44)
    assert len(labels) == 44 and not any(labels[:24]) and [PHONES[one - 1] for one in labels[24:30]] == [
        "B", "B", "IH", "IH", "N", "N"
    ]  # fmt: skip
    assert labels[34:36] == [0, 0] and labels[41:] == [0, 0, 0] and grid.frame_phones(found["b"], 2) == [-1, -1]
    with pytest.raises(DataError, match="manifest"):
        grid.transcripts(tmp_path / "none")


def test_stretches_hold_their_words() -> None:
    words = {"a": (Word("bin", 10, 16), Word("blue", 16, 22), Word("two", 30, 36)), "b": (Word("now"),)}
    samples = LipReadingSamples([clip("a", 60), clip("b", 50), clip("c", 40)], words, 6, seed=1)
    spans = set()
    for number in range(30):
        batch = samples(number)
        shape = batch["pictures"].shape
        assert shape[0] == 6 and shape[2:] == (48, 64) and batch["geometry"].shape == (*shape[:2], 16)
        for place in range(6):
            frames, count = int(batch["lengths"][place]), int(batch["counts"][place])
            assert frames <= shape[1] and not batch["known"][place, frames:].any()
            assert not batch["pictures"][place, frames:].any()
            assert count or frames in range(int(0.8 * UNREAD_FRAMES), int(1.25 * UNREAD_FRAMES) + 1)
            assert count <= frames
            spans.add(tuple(batch["phones"][place, :count].tolist()))
        assert int(batch["counts"].max()) > 0
        again = samples(number)
        assert all((batch[name] == again[name]).all() for name in batch)
    blue = grid.phones_of((Word("blue"),))
    assert blue in spans and grid.phones_of(words["a"]) in spans and () in spans and grid.phones_of(words["b"]) in spans


def test_no_transcript_is_told() -> None:
    with pytest.raises(DataError, match="transcript"):
        LipReadingSamples([clip("a", 60)], {}, 2)
