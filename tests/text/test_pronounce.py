"""How words are said, and how long espeak-ng takes for each sound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kouxing.errors import OptionError
from kouxing.text.phones import CLASS
from kouxing.text.pronounce import Pronouncer

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
