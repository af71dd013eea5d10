"""How words are said, and how long espeak-ng takes for each sound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kouxing.errors import OptionError
from kouxing.text.phones import CLASS, GOES_ON, MOUTHS, Phone
from kouxing.text.pronounce import Pronouncer, Said, _known

pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def english() -> Iterator[Pronouncer]:
    with Pronouncer("en") as pronouncer:
        yield pronouncer


def test_every_sound_has_its_length(english: Pronouncer) -> None:
    for word in ("boat", "seven", "a", "b"):
        for way in english.ways(word):
            assert len(way.places) == len(way.seconds) > 0
            assert all(0.01 < length < 0.6 for length in way.seconds)
    (boat,) = english.ways("boat")
    assert boat.places[0] == CLASS["bilabial"] and 0.15 < sum(boat.seconds) < 0.8


def test_what_nobody_can_say_is_refused(english: Pronouncer) -> None:
    with pytest.raises(OptionError, match="nobody can say"):
        english.ways("—")
    with Pronouncer("xx-none") as nobody, pytest.raises(OptionError, match="no such voice"):
        nobody.ways("a")


def names(ways: tuple[Said, ...]) -> list[list[str]]:
    return [[MOUTHS[place].name for place in way.places] for way in ways]


def test_words_are_also_said_as_they_are_among_others(english: Pronouncer) -> None:
    told = english.sentence("He had more a — then: a boat of the boats.")
    assert [word for word, _ in told] == ["He", "had", "more", "a", "then", "a", "boat", "of", "the", "boats"]
    # Weak beside strong; "of the" is said as one, and so each only as it is alone.
    assert names(told[5][1]) == [["mid", "spread"], ["open"]]
    assert names(told[2][1]) == [["bilabial", "rounded-mid"], ["bilabial", "rounded-mid", "rhotic"]]
    assert [len(ways) for _, ways in told[7:9]] == [1, 1]
    # Short words are shorter there than alone.
    weak = next(way for way in english.sentence("He had more.")[1][1] if way.fluent)
    assert len(weak.fluent) == len(weak.places) and sum(weak.fluent) < sum(english.ways("had")[0].seconds)
    assert told[7][1][0].fluent == ()
    # Alone, a word has no neighbours.
    assert names(english.sentence("more")[0][1]) == [["bilabial", "rounded-mid"]]


def test_elided_words_are_not_letters_and_liaisons_are_said() -> None:
    with Pronouncer("fr") as french:
        told = dict(french.sentence("les amis qu’ il y a, j' ai ouvert c'est"))
        assert names(told["j"]) == [["postalveolar"]] and names(told["qu"]) == [["velar"]]
        assert names(told["les"]) == [["lateral", "mid"], ["lateral", "mid", "sibilant"]]
        assert ["spread"] in names(told["y"])
        # With nothing behind it a letter is a letter.
        assert names(french.sentence("j")[0][1]) == [["postalveolar", "spread"]]


def test_symbols_are_read_out_where_the_language_has_a_word(english: Pronouncer) -> None:
    told = english.sentence("50% of $100 & more")
    assert [word for word, _ in told] == ["50%", "of", "$100", "&", "more"]
    (percent,) = english.ways("percent")
    assert told[0][1][0].places[-len(percent.places) :] == percent.places
    assert names(told[3][1])[0] == names(english.ways("and"))[0]


def test_signs_of_vowels_stay_with_their_letters() -> None:
    with Pronouncer("hi") as hindi:
        (whole,), (bare,) = hindi.ways("की"), hindi.ways("क")
    assert whole.places != bare.places


def test_an_unknown_phone_goes_on_as_the_one_before() -> None:
    with Pronouncer("lb") as speaker:
        assert speaker.ways("Zuch")[0].places
    assert _known(Phone("☃", 0.0, 0.1)).symbol == GOES_ON
    assert _known(Phone("a", 0.0, 0.1)).symbol == "a"


def test_no_language_is_none() -> None:
    with pytest.raises(OptionError, match="is empty"):
        Pronouncer(" ")


def test_hesitations_last(english: Pronouncer) -> None:
    assert sum(english.ways("uh")[0].seconds) > 3 * sum(english.ways("a")[0].seconds)
    assert all(not way.fluent for way in english.sentence("Well, Uh, more.")[1][1])


def test_unknown_languages_are_told_for_sentences_too() -> None:
    with Pronouncer("xx-none") as nobody, pytest.raises(OptionError, match="give a code such as"):
        nobody.sentence("two words")
