"""Manifest: what is wrong is told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kouxing.data.grid import transcripts
from kouxing.data.manifest import read_manifest
from kouxing.errors import DataError

HEAD = "id,split,speaker,language,seconds,licence,corpus\n"
GOOD = "a,train,s,en,1.5,open,GRID\nb,test,t,ar,2,research,LRC-AR\n"


def written(folder: Path, text: str) -> Path:
    (folder / "manifest.csv").write_text(text)
    return folder


def test_reads_and_filters(tmp_path: Path) -> None:
    clips = read_manifest(written(tmp_path, HEAD + GOOD))
    assert [clip.id for clip in clips] == ["a", "b"]
    assert [clip.part for clip in clips] == ["grid", "wild"]
    assert [clip.seconds for clip in read_manifest(tmp_path, "test")] == [2.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "a,train,s,en,,open,GRID\n", "line 2: no value for seconds"),
        (HEAD + "a,lunch,s,en,1,open,GRID\n", "split 'lunch'"),
        (HEAD + "a,train,s,en,long,open,GRID\n", "'long' is not a number"),
        (HEAD + "../a,train,s,en,1,open,GRID\n", "not a plain file name"),
        (HEAD + GOOD + "a,val,s,en,1,open,GRID\n", "occurs twice"),
        ("id,split\na,train\n", "has no column speaker, language, seconds, licence, corpus; its first line"),
        ((HEAD + GOOD).replace(",", ";"), "has no column id, split, .* with commas"),
        ("", "has no column id"),
        (HEAD + "a,train\n", "line 2: no value for speaker"),
        (HEAD, "no clip"),
    ],
)
def test_tells_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        read_manifest(written(tmp_path, text))
    assert "manifest.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_reads_what_editors_save(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "manifest.csv").write_text((HEAD + GOOD).replace(",s,", ",Zoë,"), encoding)
    clips = read_manifest(tmp_path)
    assert [(clip.id, clip.speaker) for clip in clips] == [("a", "Zoë"), ("b", "t")]
    assert len(transcripts(tmp_path)) == 0


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_one_line(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "manifest.csv").write_text((HEAD + GOOD).replace(",s,", ",Zoë,"), encoding)
    with pytest.raises(DataError, match=r"manifest\.csv: is not CSV in UTF-8 .*; save it as that") as error:
        read_manifest(tmp_path)
    assert "\n" not in str(error.value)


def test_tells_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.csv"):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match=r"'val'; .*--split"):
        read_manifest(written(tmp_path, HEAD + GOOD), "val")
