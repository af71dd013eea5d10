"""Phones and mouth classes: alphabets agree, times become steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.errors import DataError
from kouxing.text.phones import CLASS, MOUTHS, REST, Phone, classes, mouth_classes


def names(symbol: str, alphabet: str = "ipa") -> list[str]:
    return [MOUTHS[place].name for place in classes(symbol, alphabet)]


@pytest.mark.parametrize(
    ("symbol", "alphabet", "wanted"),
    [
        ("p", "ipa", ["bilabial"]),
        ("ˈiː", "ipa", ["spread"]),
        ("ɔ̃", "ipa", ["rounded-mid"]),
        ("aɪ", "ipa", ["open", "spread"]),
        ("tɕ", "ipa", ["alveolar", "postalveolar"]),
        ("ʲ", "ipa", []),
        ("(en)", "ipa", []),
        ("", "ipa", ["rest"]),
        ("M", "arpabet", ["bilabial"]),
        ("AY1", "arpabet", ["open", "spread"]),
        ("pau", "arpabet", ["rest"]),
        ("SIL", "arpabet", ["rest"]),
        ("S", "sampa", ["postalveolar"]),
        ("a~", "sampa", ["open"]),
        ("2", "sampa", ["rounded-mid"]),
        ("#", "sampa", ["rest"]),
        ("b", "pinyin", ["bilabial"]),
        ("x", "pinyin", ["postalveolar"]),
        ("iang3", "pinyin", ["spread", "open", "alveolar", "velar"]),
        ("[SIL]", "pinyin", ["rest"]),
    ],
)
def test_symbols_find_their_mouth(symbol: str, alphabet: str, wanted: list[str]) -> None:
    assert names(symbol, alphabet) == wanted


def test_the_same_word_moves_the_mouth_alike_in_every_alphabet() -> None:
    ipa, arpabet, sampa = ["b", "uː", "t", "s"], ["B", "UW1", "T", "S"], ["b", "u:", "t", "s"]
    told = [
        [classes(one, alphabet) for one in word]
        for word, alphabet in ((ipa, "ipa"), (arpabet, "arpabet"), (sampa, "sampa"))
    ]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(("symbol", "alphabet"), [("☃", "ipa"), ("p", "klingon")])
def test_the_unknown_is_refused_in_one_line(symbol: str, alphabet: str) -> None:
    with pytest.raises(DataError) as error:
        classes(symbol, alphabet)
    assert "\n" not in str(error.value)


def test_only_lips_that_touch_are_closed() -> None:
    assert [mouth.name for mouth in MOUTHS if mouth.closed] == ["bilabial"]
    assert len(CLASS) == len(MOUTHS)


def test_times_become_steps() -> None:
    phones = [Phone("m", 0.1, 0.2), Phone("aɪ", 0.2, 0.4), Phone("ʲ", 0.4, 0.5)]
    told = mouth_classes(phones, 7, 10)
    assert [MOUTHS[place].name for place in told] == ["rest", "bilabial", "open", "spread", "spread", "rest", "rest"]


@given(st.lists(st.tuples(st.sampled_from("pasu"), st.floats(0, 3)), max_size=8), st.integers(0, 40))
def test_steps_never_run_over_the_end(rows: list[tuple[str, float]], count: int) -> None:
    starts = sorted(start for _, start in rows)
    phones = [Phone(symbol, start, start + 0.3) for (symbol, _), start in zip(rows, starts, strict=True)]
    told = mouth_classes(phones, count, 25)
    assert len(told) == count and all(0 <= one < len(MOUTHS) for one in told)
    assert mouth_classes([], count, 25) == [REST] * count
