"""Words -> the mouth classes that they go through, by espeak-ng; and a text said by it, with times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import DataError, OptionError
from kouxing.text.phones import REST, Phone, classes, mouth_classes
from kouxing.text.speak import NoVoiceError, Speaker, Voice
from kouxing.text.transcripts import words_of
from kouxing.units import MEL_HZ


class Said(NamedTuple):
    """One way to say a word.

    Attributes:
        places: in ``phones.MOUTHS``, one a phone; a diphthong is two.
        seconds: how long espeak-ng takes for each, saying the word alone.
    """

    places: tuple[int, ...]
    seconds: tuple[float, ...]


class Pronouncer:
    """Looks words up, one by one; a context manager, as the worker process inside is one.

    Args:
        language: espeak-ng's name of it, such as ``en``, ``fr`` or ``cmn``.

    Raises:
        OptionError: espeak-ng is not installed.
    """

    def __init__(self, language: str = "en") -> None:
        self._voice = Voice(language)
        self._speaker = Speaker()
        self._known: dict[str, tuple[Said, ...]] = {}

    def __enter__(self) -> Pronouncer:
        return self

    def __exit__(self, *about: object) -> None:
        self._speaker.close()

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
                found.setdefault(said.places, said)
            found.pop((), None)
            if not found:
                raise OptionError(f"--text: nobody can say {word[:40]!r} in {self._voice.name!r}; write it in letters")
            self._known[word] = tuple(found.values())
        return self._known[word]

    def sentence(self, text: str) -> list[tuple[str, tuple[Said, ...]]]:
        """Every word of ``text`` with its ``ways``.

        Raises:
            OptionError: as ``ways``.
        """
        return [(word, self.ways(word)) for word in words_of(text)]

    def spoken(self, text: str) -> NDArray[np.int64]:
        """The mouth class of each mel frame of ``text`` as espeak-ng says it: ``[M] int64``.

        Raises:
            OptionError: as ``ways``.
        """
        return np.array(mouth_classes(list(told := self._phones(text)), _mels(told), MEL_HZ), np.int64)

    def _said(self, text: str) -> Said:
        places: list[int] = []
        seconds: list[float] = []
        try:
            for phone in self._phones(text):
                goes_through = classes(phone.symbol)
                length = phone.end_s - phone.start_s
                if not goes_through and seconds:
                    # A mark alone: the phone before goes on.
                    seconds[-1] += length
                own = [place for place in goes_through if place != REST]
                places += own
                seconds += [length / len(own)] * len(own) if own else []
        except DataError as error:
            raise OptionError(f"--text: {text[:40]!r}: {error}") from error
        return Said(tuple(places), tuple(seconds))

    def _phones(self, text: str) -> tuple[Phone, ...]:
        try:
            return self._speaker.speak(text, self._voice).phones
        except NoVoiceError:
            raise OptionError(
                f"--language {self._voice.name}: espeak-ng has no such voice; give a code such as en, fr or cmn"
            ) from None


def _mels(phones: tuple[Phone, ...]) -> int:
    return round(phones[-1].end_s * MEL_HZ) if phones else 0
