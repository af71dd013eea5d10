"""Words -> the mouth classes that they go through, by espeak-ng; and a text said by it, with times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import DataError, OptionError
from kouxing.text.phones import GOES_ON, REST, Phone, classes, mouth_classes
from kouxing.text.speak import NoVoiceError, Speaker, Spoken, Voice
from kouxing.text.transcripts import has_letters, words_at
from kouxing.units import MEL_HZ


class Said(NamedTuple):
    """One way to say a word.

    Attributes:
        places: in ``phones.MOUTHS``, one a phone; a diphthong is two.
        seconds: how long espeak-ng takes for each, saying the word alone.
        fluent: the same among the words around it; empty where it is not said so there.
    """

    places: tuple[int, ...]
    seconds: tuple[float, ...]
    fluent: tuple[float, ...] = ()


NOT_TOLD = Said((), ())
ELIDING = ("fr", "ca", "it")
"""Languages in which a word loses its vowel before another vowel."""
LONGEST_ELIDED = 2
HESITATIONS, DRAWN_OUT = {"euh", "heu", "uh", "uhm", "erm", "äh", "ähm"}, 10
"""Who thinks draws them out; espeak-ng says them as short as other words."""
APOSTROPHES = ("'", "’")


class Pronouncer:
    """Looks words up, one by one; a context manager, as the worker process inside is one.

    Args:
        language: espeak-ng's name of it, such as ``en``, ``fr`` or ``cmn``.

    Raises:
        OptionError: espeak-ng is not installed, or ``language`` is empty.
    """

    def __init__(self, language: str = "en") -> None:
        if not language.strip():
            raise OptionError("--language: is empty; give a code such as en, fr or cmn")
        self._voice = Voice(language)
        self._speaker = Speaker()
        self._known: dict[str, tuple[Said, ...]] = {}

    def __enter__(self) -> Pronouncer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speaker.__exit__(kind, error, trace)

    def ways(self, word: str) -> tuple[Said, ...]:
        """How ``word`` may be said, the likeliest first; a lone letter also by its name. Never empty.

        Raises:
            OptionError: unknown language, or a word that espeak-ng says nothing for.
        """
        if word not in self._known:
            tried = [word, f"{word.upper()}."] if len(word) == 1 and word.isalpha() else [word]
            found: dict[tuple[int, ...], Said] = {}
            for one in tried:
                said = self._said(one)
                if word.lower() in HESITATIONS:
                    said = said._replace(seconds=tuple(DRAWN_OUT * seconds for seconds in said.seconds))
                found.setdefault(said.places, said)
            found.pop((), None)
            if not found:
                raise OptionError(f"--text: nobody can say {word[:40]!r} in {self._voice.name!r}; write it in letters")
            self._known[word] = tuple(found.values())
        return self._known[word]

    def sentence(self, text: str) -> list[tuple[str, tuple[Said, ...]]]:
        """Every word of ``text`` with its ``ways``, and how it is said among the others: weak, or with a liaison.

        Raises:
            OptionError: as ``ways``.
        """
        found = []
        spans = [(at, at + len(word)) for word, at in words_at(text)]
        for (first, last), among in zip(spans, self._among(text, spans), strict=True):
            try:
                ways = self.ways(text[first:last])
            except OptionError:
                # Not every language reads every symbol out.
                if has_letters(text[first:last]):
                    raise
                continue
            if self._elided(text, first, last):
                # c' alone would be said by its letter's name.
                said = self._said(f"{text[first:last]}'a")
                ways = (Said(said.places[:-1], said.seconds[:-1]),) if len(said.places) > 1 else ways
            elif among.places and text[first:last].lower() not in HESITATIONS:
                if among.places not in [way.places for way in ways]:
                    ways = (*ways, among)
                ways = tuple(way._replace(fluent=among.seconds) if way.places == among.places else way for way in ways)
            found.append((text[first:last], ways))
        return found

    def _elided(self, text: str, first: int, last: int) -> bool:
        """Whether the word ``text[first:last]`` is one as in j' ai, written apart from the next one."""
        known = re.split(r"[-+]", self._voice.name)[0] in ELIDING and last - first <= LONGEST_ELIDED
        return known and text[last : last + 1] in APOSTROPHES and text[last + 1 : last + 2] in ("", " ")

    def _among(self, text: str, spans: Sequence[tuple[int, int]]) -> list[Said]:
        """How espeak-ng says each word in its sentence; empty where words are said as one and cannot be told apart."""
        found = [NOT_TOLD] * len(spans)
        if len(spans) < 2:
            return found
        # What is written apart is said together; places in what is said -> places in the text.
        gaps = {last + 1 for first, last in spans if self._elided(text, first, last)}
        places = [place for place in range(len(text)) if place not in gaps or text[place] != " "]
        spoken = self._speak("".join(text[place] for place in places))
        firsts = [place for _, place in spoken.words] + [len(spoken.phones)]
        phones: dict[int, list[Phone]] = {}
        for (at, first), last in zip(spoken.words, firsts[1:], strict=True):
            begin = places[min(at, len(places) - 1)]
            for number, (low, high) in enumerate(spans):
                if low <= begin < high:
                    phones.setdefault(number, []).extend(spoken.phones[first:last])
        for number, own in phones.items():
            with suppress(DataError):
                if number + 1 in phones or number + 1 == len(spans):
                    found[number] = self._told(own)
                elif self._elided(text, *spans[number]) and (number + 2 in phones or number + 2 == len(spans)):
                    found[number + 1] = self._told(own[1:])
        return found

    def spoken(self, text: str) -> NDArray[np.int64]:
        """The mouth class of each mel frame of ``text`` as espeak-ng says it: ``[M] int64``.

        Raises:
            OptionError: as ``ways``.
        """
        return np.array(mouth_classes(list(told := self._phones(text)), _mels(told), MEL_HZ), np.int64)

    def _said(self, text: str) -> Said:
        try:
            return self._told(self._phones(text))
        except DataError as error:
            raise OptionError(f"--text: {text[:40]!r}: {error}") from error

    def _told(self, phones: Sequence[Phone]) -> Said:
        places: list[int] = []
        seconds: list[float] = []
        for phone in phones:
            goes_through = classes(phone.symbol)
            length = phone.end_s - phone.start_s
            if not goes_through and seconds:
                # A mark alone: the phone before goes on.
                seconds[-1] += length
            own = [place for place in goes_through if place != REST]
            places += own
            seconds += [length / len(own)] * len(own) if own else []
        return Said(tuple(places), tuple(seconds))

    def _phones(self, text: str) -> tuple[Phone, ...]:
        return self._speak(text).phones

    def _speak(self, text: str) -> Spoken:
        try:
            spoken = self._speaker.speak(text, self._voice, sound=False)
        except NoVoiceError:
            raise OptionError(
                f"--language {self._voice.name}: espeak-ng has no such voice; give a code such as en, fr or cmn"
            ) from None
        return replace(spoken, phones=tuple(map(_known, spoken.phones)))


def _known(phone: Phone) -> Phone:
    """A phone that moves the mouth as its symbol says; one of an unknown symbol goes on as the one before it."""
    try:
        classes(phone.symbol)
    except DataError:
        return replace(phone, symbol=GOES_ON)
    return phone


def _mels(phones: tuple[Phone, ...]) -> int:
    return round(phones[-1].end_s * MEL_HZ) if phones else 0
