"""The sounds of a text in order, with the lengths they are expected to have: what the aligner searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.text.phones import CLASS, MOUTHS, REST
from kouxing.text.pronounce import Said
from kouxing.types import Bool, Float
from kouxing.units import MEL_HZ

NOBODY = -1
"""Word of a mel frame in a pause."""
USUAL = {
    "bilabial": 7.4, "labiodental": 6.0, "rounded-close": 4.2, "rounded-mid": 7.7, "open": 6.4, "mid": 5.3,
    "spread": 5.2, "sibilant": 10.5, "postalveolar": 6.6, "dental": 3.5, "alveolar": 5.3, "lateral": 5.4,
    "rhotic": 4.6, "velar": 7.0, "glottal": 4.6,
}  # fmt: skip
"""Mel frames that people take for a sound for which espeak-ng takes ``TYPICAL``; fitted on 1,259 phones of GRID's
sentences and of labelled recordings in English and French."""
TYPICAL, SHARE, FINAL = 8.0, 0.3, 1.57
"""Where espeak-ng takes longer, people do too, by this power of the ratio; and before a pause sounds last that much
longer, from a word's last vowel on."""
FLUENT_SHARE = 0.75
"""The power for words as espeak-ng says them in their sentence: what is short there is short with people."""
VOWELS = {CLASS[name] for name in ("rounded-close", "rounded-mid", "open", "mid", "spread")}


@dataclass(frozen=True)
class Graph:
    """The N sounds and pauses of a sentence, in order; what may come before one stands before it.

    Attributes:
        emits: ``[N]`` mouth class. word: ``[N]`` which word, or ``NOBODY``.
        lengths: ``[N]`` mel frames that are expected; 0 for a pause, which may be of any length.
        fluent: ``[N]`` the same, of words as they are said in their sentence: short ones shorter, others longer.
        before: ``[N, most]`` which may come before it; N where there are fewer.
        starts, ends: ``[N]`` which may be first and last.
    """

    emits: NDArray[np.int64]
    word: NDArray[np.int64]
    lengths: Float
    fluent: Float
    before: NDArray[np.int64]
    starts: Bool
    ends: Bool


def expected(place: int, seconds: float, share: float = SHARE) -> float:
    """Mel frames that a sound of mouth class ``place`` is expected to last, for which espeak-ng takes ``seconds``."""
    return USUAL.get(MOUTHS[place].name, TYPICAL) * (max(2.0, seconds * MEL_HZ) / TYPICAL) ** share


def graph_of(words: Sequence[Sequence[Said]], pauses: bool = True) -> Graph:
    """Words one after the other: every way of each side by side, pauses optional.

    What follows a word's last vowel stands twice where a pause may come behind it: as said on the way to the next word,
    and drawn out.
    """
    growing = _Growing()
    # What the next word and the next pause may come after; None stands for the beginning.
    spoken: list[int | None] = [None]
    drawn: list[int | None] = [None]
    for number, ways in enumerate(words):
        if pauses:
            spoken = [*spoken, growing.add(REST, NOBODY, (0.0, 0.0), drawn)]
        ends: list[int | None] = []
        drawn = []
        for way in ways:
            cut = _last_vowel(way.places) if pauses or number == len(words) - 1 else len(way.places)
            body = growing.chain(way, slice(0, cut), number, spoken)
            if number < len(words) - 1:
                ends += growing.chain(way, slice(cut, None), number, body)
            if cut < len(way.places):
                drawn += growing.chain(way, slice(cut, None), number, body, FINAL)
        spoken = ends
    last = [*drawn, growing.add(REST, NOBODY, (0.0, 0.0), drawn)] if pauses else drawn
    return growing.graph([end for end in last if end is not None])


def _last_vowel(places: Sequence[int]) -> int:
    """Which of a word's sounds is its last vowel; the last of all where it has none."""
    return max((place for place, mouth in enumerate(places) if mouth in VOWELS), default=len(places) - 1)


class _Growing:
    """Rows of a graph that is being made."""

    def __init__(self) -> None:
        self._emits: list[int] = []
        self._word: list[int] = []
        self._lengths: list[tuple[float, float]] = []
        self._before: list[list[int]] = []
        self._starts: list[bool] = []

    def add(self, place: int, word: int, length: tuple[float, float], sources: Sequence[int | None]) -> int:
        self._emits.append(place)
        self._word.append(word)
        self._lengths.append(length)
        self._before.append([source for source in sources if source is not None])
        self._starts.append(None in sources)
        return len(self._emits) - 1

    def chain(
        self, way: Said, part: slice, word: int, sources: Sequence[int | None], longer: float = 1.0
    ) -> list[int | None]:
        """Sounds ``part`` of ``way`` one after the other; what comes next may come after the result."""
        now = list(sources)
        fluent = way.fluent or way.seconds
        for place, alone, among in zip(way.places[part], way.seconds[part], fluent[part], strict=True):
            lengths = longer * expected(place, alone), longer * expected(place, among, FLUENT_SHARE)
            now = [self.add(place, word, lengths, now)]
        return now

    def graph(self, last: Sequence[int]) -> Graph:
        count = len(self._emits)
        table = np.full((count, max(1, *map(len, self._before))), count, np.int64)
        for state, sources in enumerate(self._before):
            table[state, : len(sources)] = sources
        ends = np.zeros(count, bool)
        ends[list(last)] = True
        lengths, fluent = np.array(self._lengths).T
        return Graph(np.array(self._emits), np.array(self._word), lengths, fluent, table, np.array(self._starts), ends)
