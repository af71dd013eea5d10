"""What the user tells, and splits that stay."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kouxing.errors import DataError, OptionError
from kouxing.infer.prepare.plan import Source
from kouxing.infer.prepare.table import (
    About,
    described,
    read_about,
    read_json,
    shares_of,
    split_of,
    write_json,
    write_table,
)


def test_splits_follow_the_shares_and_stay() -> None:
    shares = shares_of("8/1/1")
    assert shares == (0.8, 0.1, 0.1)
    count = Counter(split_of(f"file {n}", shares) for n in range(2000))
    assert 1500 < count["train"] < 1700 and 140 < count["val"] < 260 and 140 < count["test"] < 260
    assert {split_of(f"file {n}", shares_of("0/1/0")) for n in range(50)} == {"val"}
    # Written down: another hash would move everybody's people.
    assert [split_of(f"file {n}", shares_of("1/1/1")) for n in range(6)] == FIRST_SIX


FIRST_SIX = ["test", "test", "val", "test", "test", "val"]


@pytest.mark.parametrize("text", ["", "1", "0.9/0.1", "a/b/c", "0/0/0", "-1/1/1", "nan/1/1", "inf/1/1", "0.5/0.6/0.2"])
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--split"):
        shares_of(text)


def footage(label: str, source_id: str) -> Source:
    return Source(source_id, label, Path(label), "0")


def test_what_is_told_and_what_is_not(tmp_path: Path) -> None:
    path = tmp_path / "info.csv"
    path.write_text("file,speaker,language,split\na/one.mp4,Ann,en,\none.mp4,Bob,,val\nlost.mp4,Cy,,\n", "utf-8-sig")
    about = read_about(path, {"language": "de", "licence": "open", "corpus": None})
    shares = (1.0, 0.0, 0.0)
    told = described(footage("films/a/one.mp4", "one-1"), about, shares)
    assert (told["speaker"], told["language"], told["licence"], told["split"]) == ("Ann", "en", "open", "train")
    assert (told["corpus"], told["source"]) == ("unknown", "films/a/one.mp4")
    told = described(footage("films/b/one.mp4", "one-2"), about, shares)
    assert (told["speaker"], told["language"], told["split"]) == ("Bob", "de", "val")
    told = described(footage("films/two.mp4", "two-1"), about, shares)
    assert told["speaker"] == "unknown-two-1"
    assert about.unused([(name, Path(name)) for name in ("films/a/one.mp4", "films/b/one.mp4")]) == ["lost.mp4"]
    # One person in two files is in one split.
    assert len({split_of("speaker Ann", shares_of("1/1/1")) for _ in range(3)}) == 1


def test_files_are_known_by_the_path_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link.mp4").symlink_to("store/1234")
    rows = {
        "sw/v.mp4": "in sw",
        f"{tmp_path.as_posix()}/other/v.mp4": "whole path",
        "link.mp4": "linked",
        "v.mp4#2": "label",
        "v.mp4": "any of the name",
        "none/v.mp4": "",
    }
    about = About(rows={file: {"speaker": who} for file, who in rows.items()})
    files = [
        ("v.mp4", Path("sw/v.mp4")), ("v.mp4", Path("sw/../other/v.mp4")), ("link.mp4", Path("link.mp4")),
        ("v.mp4#2", Path("third/v.mp4")), ("v.mp4", Path("third/v.mp4")),
    ]  # fmt: skip
    told = [about.of(*file)["speaker"] for file in files]
    assert told == ["in sw", "whole path", "linked", "label", "any of the name"]
    assert about.unused(files) == ["none/v.mp4"]


def test_wrong_info_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "info.csv"
    for content in ("name,speaker\na,b\n", "file,age\na,3\n", "file,split\na,dev\n"):
        path.write_text(content)
        with pytest.raises(DataError, match="--info") as caught:
            read_about(path, {})
        assert "\n" not in str(caught.value)
    path.write_bytes(b"file,speaker\n\xff\xfe\x00,x\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_about(path, {})
    with pytest.raises(DataError, match="cannot be read"):
        read_about(tmp_path / "none.csv", {})


def test_names_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"file": "caf\udce9 ä"})
    assert read_json(tmp_path / "a.json") == {"file": "caf\udce9 ä"}
    assert "ä" in (tmp_path / "a.json").read_text("utf-8")
    write_table(tmp_path / "t.csv", ("file",), [{"file": "caf\udce9 ä"}])
    assert (tmp_path / "t.csv").read_text("utf-8") == "file\ncaf\\udce9 ä\n"


def test_files_come_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1})
    assert read_json(tmp_path / "a.json") == {"b": 1}
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "half.json").write_text('{"b"')
    assert read_json(tmp_path / "half.json") is None

    def rows():  # type: ignore[no-untyped-def]
        yield {"b": 2, "a": None, "other": 3}
        if broken:
            raise DataError("stopped")

    broken = False
    write_table(tmp_path / "t.csv", ("a", "b"), rows())
    assert (tmp_path / "t.csv").read_text() == "a,b\n,2\n"
    broken = True
    with pytest.raises(DataError):
        write_table(tmp_path / "t.csv", ("b",), rows())
    assert (tmp_path / "t.csv").read_text() == "a,b\n,2\n"
