"""Label files of aligners, written here by hand in each form."""

from __future__ import annotations

from pathlib import Path

import pytest

from kouxing.errors import DataError
from kouxing.text.labels import read_phones
from kouxing.text.phones import Phone

SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
3
"IntervalTier"
"words"
0
1.5
1
0
1.5
"say ""ma"" 7"
"TextTier"
"clicks"
0
1.5
1
0.3
"x"
"IntervalTier"
"phones"
0
1.5
3
0
0.5
""
0.5
0.75
"m"
0.75
1.5
"a"
"""
LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "M"
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "AA1"
"""
XRA = """<?xml version='1.0' encoding='utf-8'?>
<Document><Tier tiername="PhonAlign">
<Annotation><Location><Interval><Begin midpoint="0" radius="0.005"/><End midpoint="0.5"/></Interval></Location>
<Label><Tag>O/</Tag></Label></Annotation>
<Annotation><Location><Interval><Begin midpoint="0.5"/><End midpoint="0.7"/></Interval></Location>
<Label><Tag>laugh</Tag></Label></Annotation>
</Tier><Tier tiername="TokensAlign"/></Document>
"""
JSON = """{"w":[{"b":0,"d":0.5,"t":"me","w":[{"b":0.0,"d":0.2,"t":"M"},{"b":0.2,"d":0.3,"t":"IY"}]},
{"b":0.5,"d":0.1,"t":"um"}]}"""
LAB = "0 1300000 x^x-sil+hh=iy@x\n1300000 2050000 x^sil-hh+iy=t@1\n"


def told(tmp_path: Path, name: str, text: str) -> tuple[list[Phone], str]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_phones(path)


def test_short_textgrid(tmp_path: Path) -> None:
    phones, alphabet = told(tmp_path, "a.TextGrid", SHORT)
    assert phones == [Phone("", 0, 0.5), Phone("m", 0.5, 0.75), Phone("a", 0.75, 1.5)]
    assert alphabet == "ipa"


def test_long_textgrid(tmp_path: Path) -> None:
    phones, alphabet = told(tmp_path, "a.TextGrid", LONG)
    assert phones == [Phone("M", 0, 0.5), Phone("AA1", 0.5, 1.5)]
    assert alphabet == "arpabet"


def test_praat_writes_sixteen_bits_where_it_needs_them(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT.replace('"a"', '"ɑ"'), encoding="utf-16")
    assert read_phones(path)[0][-1] == Phone("ɑ", 0.75, 1.5)


def test_words_only_give_no_phones(tmp_path: Path) -> None:
    assert told(tmp_path, "a.TextGrid", SHORT.replace('"phones"', '"letters"'))[0] == []


def test_xra_without_noises(tmp_path: Path) -> None:
    assert told(tmp_path, "a.xra", XRA) == ([Phone("O", 0, 0.5)], "sampa")


def test_pocketsphinx(tmp_path: Path) -> None:
    assert told(tmp_path, "a.json", JSON) == ([Phone("M", 0, 0.2), Phone("IY", 0.2, 0.5)], "arpabet")


def test_hts(tmp_path: Path) -> None:
    phones, alphabet = told(tmp_path, "a.lab", LAB)
    assert [phone.symbol for phone in phones] == ["sil", "hh"] and alphabet == "arpabet"
    assert phones[1].start_s == pytest.approx(0.13) and phones[1].end_s == pytest.approx(0.205)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.TextGrid", "no such thing"),
        ("a.TextGrid", SHORT[: len(SHORT) // 2]),
        ("a.xra", "<Document>"),
        ("a.xra", "<!DOCTYPE x [<!ENTITY a 'a'>]>" + XRA.split("\n", 1)[1]),
        ("a.json", "{}"),
        ("a.txt", "p"),
    ],
)
def test_broken_labels_are_refused_in_one_line(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(DataError) as error:
        told(tmp_path, name, text)
    assert name in str(error.value) and "\n" not in str(error.value)
