"""Reading dubbed clips, in a drawn world: real and dubbed are compared by the same reader on the same frames."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kouxing.data.grid import PHONES
from kouxing.errors import DataError, OptionError
from kouxing.eval import lipreading

from . import world

torch = pytest.importorskip("torch", reason="needs kouxing[train]")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = world.write_data(tmp_path_factory.mktemp("reading") / "data", (("g1", "ann", "GRID"), ("w1", "cid", "web")))
    with (made / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["source"] = "o/r: x/lbax4n.mpg" if row["id"] == "g1" else "o/r: x/talk.mp4"
    with (made / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kouxing.models.lipreader import LipReader, LipReaderDimensions
    from kouxing.train.loop import BEST, write_aside

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("reader")
    write_aside(folder / BEST, LipReader(LipReaderDimensions(len(PHONES))).state_dict(), {})
    return folder


def test_real_and_dubbed_are_read_alike(data: Path, run: Path, tmp_path: Path) -> None:
    found = lipreading.evaluate(data, run, split="test", out=tmp_path, parts=world.parts())
    (row,) = found.rows
    assert row["id"] == "g1" and row["words"] == ["lay", "blue", "at", "x", "four", "now"]
    assert len(row["real_words"]) == len(row["dubbed_words"]) == 6
    assert set(found.figures) >= {"real_phone_error", "dubbed_word_error", "lipread_ratio", "word_ratio"}
    assert json.loads((tmp_path / "lipreading.json").read_text())["rows"][0]["id"] == "g1"
    assert found.table().row_count == 2


def test_what_cannot_be_read_is_told(data: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--limit 0"):
        lipreading.evaluate(data, run, split="test", limit=0)
    with pytest.raises(DataError, match="train lipreader"):
        lipreading.evaluate(data, tmp_path, split="test")
    with pytest.raises(DataError, match="split"):
        lipreading.evaluate(data, run, split="val", parts=world.parts())
