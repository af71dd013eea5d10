"""What is said in footage, and where the phone network hears it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch")

from kouxing.data.animate import Take
from kouxing.data.phone_ear import checksum, placed, spoken_words, transcripts
from kouxing.text.phones import MOUTHS
from kouxing.text.transcripts import Cue, Transcript

MANIFEST = """id,split,speaker,language,seconds,licence,corpus,source
a,train,s,en,2,open,GRID,x: bbaf2n.mpg
b,train,s,en,2,open,GRID,x: bgia3a.mpg
c,train,s,en,2,own,mine,
d,train,s,en,2,own,mine,
"""


def take(name: str, frames: int = 50) -> Take:
    return Take(
        name=name, group="grid", speaker="s", mel=np.zeros((4 * frames, 80), np.float32),
        values=np.zeros((frames, 52), np.float32), channels=np.ones(52, bool), gap=np.zeros(frames, np.float32),
        silent=np.zeros(frames, bool), found=np.ones(frames, bool),
    )  # fmt: skip


class Sounds:
    def sound(self, name: str, frames: int) -> np.ndarray:
        return (0.1 * np.random.default_rng(len(name)).normal(size=640 * frames)).astype(np.float32)

    def rows(self, name: str, frames: int) -> np.ndarray:
        return np.full((frames, 4), float(name == "foreign"), np.float32)


def hear(rows: np.ndarray) -> np.ndarray:
    """Unsure, but of what is foreign: there one sound is heard throughout."""
    told = np.full((4 * len(rows), len(MOUTHS)), -np.log(len(MOUTHS)), np.float32)
    if rows[0, 0]:
        told[:], told[:, 3] = -9, 0
    return told


def test_words_come_from_times_then_file_names_then_texts(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    (tmp_path / "align").mkdir()
    (tmp_path / "align" / "a.align").write_text("0 20000 sil\n20000 30000 bin\n30000 50000 blue\n")
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in "abc":
        (texts / f"{name}.txt").write_text("what they say there\n")
    (texts / "d.txt").write_text("too few\n")
    told = transcripts(tmp_path, [take(name) for name in "abcd"], texts)
    assert set(told) == {"a", "b", "c"} and told["a"].timed and told["a"].text == "bin blue"
    assert told["b"].text == "bin green in a three again"
    assert told["c"].text == "what they say there" and "c" not in transcripts(tmp_path, [take("c")])
    assert checksum(told) != checksum({name: told[name] for name in "ab"})


def test_words_that_are_not_heard_are_left_out_but_where_times_are_told() -> None:
    pytest.importorskip("espeakng_loader")
    some = Transcript((Cue("hello there"),), "t")
    timed = Transcript((Cue("hello", 0.2, 0.6, True), Cue("there", 0.6, 1.0, True)), "t")
    long = Transcript((Cue("hello there " * 60),), "t")
    takes = [take("said"), take("foreign"), take("none"), take("long")]
    sounds: Any = Sounds()
    found = placed(hear, takes, {"said": some, "foreign": some, "long": long}, sounds)
    assert set(found) == {"said"} and len(found["said"].classes) == 200
    assert set(placed(hear, takes, {"foreign": timed}, sounds)) == {"foreign"}
    (spoken,) = spoken_words(hear, takes, {"said": some}, cast(Any, sounds))
    assert (
        spoken.name == "said"
        and len(spoken.samples) == 50 * 640
        and np.array_equal(spoken.classes, found["said"].classes)
    )
