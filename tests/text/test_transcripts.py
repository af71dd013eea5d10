"""Transcripts: every form says the same words, and what is none is refused in one line."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from kouxing.errors import DataError, KouxingError, OptionError
from kouxing.text.transcripts import Cue, read_transcript, words_of
from shared import SHARED, needs_shared

BARE = 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 2 <exists> 1 "IntervalTier" "a" 0 2 {count} 0 {last} "a"'
GRID = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 36000 sp\n36000 41000 f\n"
SRT = "1\n00:00:00,950 --> 00:00:01,360\n<i>bin</i> blue\n\n2\n00:01:01.44 --> 00:01:01.64\nf\n"
LONG = """File type = "ooTextFile"
Object class = "TextGrid"
xmin = 0
xmax = 2
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "{first}"
        xmin = 0
        xmax = 2
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2
            text = "bin blue"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "b"
"""


def test_a_text_is_taken_as_it_is() -> None:
    told = read_transcript("Bin  blue\nat f.")
    assert told.cues == (Cue("Bin blue at f."),) and not told.timed
    assert words_of("“Don't!” – she said, l'été.") == ["Don't", "she", "said", "l'été"]


def test_what_subtitles_tell_the_deaf_is_not_said(tmp_path: Path) -> None:
    rows = [
        "[Upbeat music playing]", "♪ ♪", "(SIGHS) Bin blue", "- MR. SMITH: Lay red\n- ANN: with H. [door slams]",
        "At 10:30, he said: no.", "<i>(laughs)</i>",
    ]  # fmt: skip
    blocks = [f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{row}" for n, row in enumerate(rows, 1)]
    (tmp_path / "a.srt").write_text("\n\n".join(blocks), encoding="utf-8")
    cues = read_transcript(tmp_path / "a.srt").cues
    assert [(cue.start_s, " ".join(words_of(cue.text))) for cue in cues] == [
        (3, "Bin blue"), (4, "Lay red with H"), (5, "At 10:30 he said no"),
    ]  # fmt: skip


def test_harmless_disorder_of_subtitles_is_taken(tmp_path: Path) -> None:
    blocks = [
        "2\n00:00:02,000 --> 00:00:03,000\n\nlay red", "3\n00:00:03,000 --> 00:00:03,000\n(pause)",
        "1\n00:00:00,000 --> 00:00:02,000\nBin blue", "4\n00:00:09,000 --> 00:00:08,000\n ",
    ]  # fmt: skip
    path = tmp_path / "a.srt"
    path.write_text("\n\n".join(blocks), encoding="utf-8")
    assert read_transcript(path).cues == (Cue("Bin blue", 0, 2), Cue("lay red", 2, 3))
    path.write_text("\n\n".join([*blocks, "5\n00:01:02,500 --> 00:01:02,000\nwith H"]), encoding="utf-8")
    with pytest.raises(DataError, match=r"'with H' at 62\.50 s ends before it begins, at 62\.00 s"):
        read_transcript(path)
    # Numbers with a blank line behind them are nobody's text, even where the one before says nothing.
    path.write_text("1\n\n00:00:00,000 --> 00:00:01,000\n\n2\n\n00:00:01,000 --> 00:00:02,000\nlay red\n\n3", "utf-8")
    assert read_transcript(path).cues == (Cue("lay red", 1, 2),)
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\n\n3\n\n2\n00:00:01,000 --> 00:00:02,000\n\n2 more", "utf-8")
    assert read_transcript(path).text == "3 2 more"
    path.write_text("\n\n".join([*blocks[:3], "and more"]), encoding="utf-8")
    with pytest.raises(DataError, match=r"without times after 0\.00 s: 'and more'"):
        read_transcript(path)


def test_files_give_their_cues(tmp_path: Path) -> None:
    for name, content in {"a.txt": "bin\nblue\n", "a.srt": SRT, "a.align": GRID}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_transcript(str(tmp_path / "a.txt")).text == "bin blue"
    srt = read_transcript(tmp_path / "a.srt")
    assert srt.cues == (Cue("bin blue", 0.95, 1.36), Cue("f", 61.44, 61.64)) and srt.timed
    assert read_transcript(tmp_path / "a.align").cues == (
        Cue("bin", 0.95, 1.18, True), Cue("blue", 1.18, 1.36, True), Cue("f", 1.44, 1.64, True),
    )  # fmt: skip


def test_a_textgrid_gives_words_or_utterances(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG.format(first="speaker"), encoding="utf-8")
    assert read_transcript(path).cues == (Cue("bin blue", 1, 2),)
    path.write_text(LONG.format(first="words"), encoding="utf-16")
    assert read_transcript(path).cues == (Cue("bin blue", 1, 2, True),)
    # An aligner that gave up: the tier of words is there and empty.
    empty = LONG.format(first="words").replace('"bin blue"', '""').replace('"phones"', '"speaker"')
    path.write_text(empty.replace('text = "b"', 'text = "bin blue"'), encoding="utf-8")
    assert read_transcript(path).cues == (Cue("bin blue", 0, 2),)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.srt", "bin blue"),
        ("a.srt", "1\n00:00:02,000 --> 00:00:01,000\nbin"),
        ("a.align", "0 10 bin blue"),
        ("a.align", "0 x bin"),
        ("a.TextGrid", "bin blue"),
        ("a.TextGrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1 <exists> 3'),
        ("a.txt", " \n"),
        ("a.txt", "... !"),
        ("a.align", "0 10 sil"),
        ("a.TextGrid", BARE.format(count="1e999", last="1")),
        ("a.TextGrid", BARE.format(count="1", last="1e999")),
    ],
)
def test_what_is_no_transcript_is_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(KouxingError, match="a\\.") as raised:
        read_transcript(str(path))
    assert "\n" not in str(raised.value)


def test_symbols_and_accents_are_of_words() -> None:
    assert words_of('"10%" of 5€ & $3 - *so* + (é)') == ["10%", "of", "5€", "&", "$3", "so", "+", "é"]
    assert words_of("की है मैं नहीं") == ["की", "है", "मैं", "नहीं"]
    (cue,) = read_transcript(unicodedata.normalize("NFD", "café")).cues
    assert cue.text == "café"
    with pytest.raises(OptionError, match="no word"):
        read_transcript("& $ %")


def test_other_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="not UTF-8"):
        read_transcript("caf\udce9s are nice")
    with pytest.raises(OptionError, match="no word"):
        read_transcript("  ")
    with pytest.raises(DataError, match="cannot be read"):
        read_transcript("missing.srt")
    with pytest.raises(DataError, match="are read from"):
        read_transcript(tmp_path / "a.vtt")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfa\x80")
    with pytest.raises(DataError, match=r"no \.txt"):
        read_transcript(tmp_path / "a.txt")


@needs_shared
def test_real_label_files_are_read() -> None:
    folder = SHARED / "data" / "phones"
    for path in folder.glob("montreal-*.TextGrid"):
        assert read_transcript(path).timed
    aligned = next((SHARED / "data" / "align").glob("*.align"))
    assert len(read_transcript(aligned).cues) == 6
