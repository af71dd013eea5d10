"""MBROLA's voices: what espeak-ng tells of them becomes phones with times; the programs are optional."""

from __future__ import annotations

import io
import wave

import pytest

from kouxing.errors import DataError, OptionError
from kouxing.text import mbrola
from kouxing.text.phones import CLASS, classes

TOLD = """mbrowrap error: [mbrola]: no phoneme
; a remark
_\t50
h\t70
@\t40\t 0 110 100 120
l/2\t60
aU2\t150\t 0 120
_\t100
"""


def test_lines_become_phones_with_times() -> None:
    told = mbrola.read_sounds(TOLD)
    assert [phone.symbol for phone in told.phones] == ["", "h", "@", "l", "aU", ""]
    assert told.phones[0].start_s == 0 and told.phones[-1].end_s == pytest.approx(0.47)
    for one, following in zip(told.phones[:-1], told.phones[1:], strict=True):
        assert one.end_s == following.start_s
    # Every line goes on to MBROLA as it came.
    assert told.lines[2] == "@\t40\t 0 110 100 120" and len(told.lines) == 6


def test_a_nasal_vowel_does_not_close_the_lips() -> None:
    assert classes(mbrola.sampa("am"), "sampa") == (CLASS["open"],)
    assert classes(mbrola.sampa("m"), "sampa") == (CLASS["bilabial"],)


def test_a_letter_of_one_voice_alone_is_told() -> None:
    with pytest.raises(DataError, match="no sampa letter"):
        classes(mbrola.sampa("$"), "sampa")


def test_without_the_programs_there_are_no_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    mbrola.voices.cache_clear()
    assert mbrola.voices() == {}
    mbrola.voices.cache_clear()
    with pytest.raises(OptionError, match="espeak-ng is not installed"):
        mbrola.sounds("hello", "us1")


def test_speech_is_as_long_as_its_phones() -> None:
    mbrola.voices.cache_clear()
    if not mbrola.voices():
        pytest.skip("needs mbrola, a voice of it, and espeak-ng (Debian, non-free)")
    name = next(iter(mbrola.voices()))
    spoken = mbrola.sounds("mama papa", name)
    with wave.open(io.BytesIO(mbrola.wave(spoken, name))) as file:
        seconds = file.getnframes() / file.getframerate()
    assert seconds == pytest.approx(spoken.phones[-1].end_s, abs=0.15)
