"""GRID's sentences: read from file names, said as phones, with word times where the corpus gives them.

Cooke, Barker, Cunningham and Shao 2006: command, colour, preposition, letter, digit, adverb; 51 words.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from kouxing.errors import DataError
from kouxing.units import FRAME_HZ

SENTENCE = re.compile(r"(?:^|_|: )([blps])([bgrw])([abiw])([a-vx-z])([z1-9])([anps])(?:_gt)?$")
REMARK = re.compile(r"\s*\([^()]*\)$")
"""What a manifest may tell behind a file's name: whose it is, under which licence."""
WORDS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    {"z": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
     "8": "eight", "9": "nine"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)  # fmt: skip
"""By place in the sentence: the file name's letter -> the word."""

ALIGN_HZ = 25_000
"""Units of ``.align`` files; a video frame is 1,000 of them."""
QUIET = ("sil", "sp")

PHONES = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "EY", "F", "G", "IH", "IY", "JH", "K", "L", "M",
    "N", "OW", "P", "R", "S", "T", "TH", "UW", "V", "W", "Y", "Z",
)  # fmt: skip
"""ARPABET symbols that the words need."""

LEXICON: dict[str, tuple[str, ...]] = {
    word: tuple(said.split())
    for word, said in {
        "bin": "B IH N", "lay": "L EY", "place": "P L EY S", "set": "S EH T",
        "blue": "B L UW", "green": "G R IY N", "red": "R EH D", "white": "W AY T",
        "at": "AE T", "by": "B AY", "in": "IH N", "with": "W IH DH",
        "zero": "Z IH R OW", "one": "W AH N", "two": "T UW", "three": "TH R IY", "four": "F AO", "five": "F AY V",
        "six": "S IH K S", "seven": "S EH V AH N", "eight": "EY T", "nine": "N AY N",
        "again": "AH G EH N", "now": "N AW", "please": "P L IY Z", "soon": "S UW N",
        "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH",
        "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY",
        "q": "K Y UW", "r": "AA", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "x": "EH K S", "y": "W AY",
        "z": "Z EH D",
    }.items()
}  # fmt: skip
"""British English, as the speakers say it."""


@dataclass(frozen=True)
class Word:
    """One word of a clip.

    Attributes:
        text: a key of ``LEXICON``.
        first, last: video frames in which it begins and ends (``last`` not included); None where nobody measured.
    """

    text: str
    first: int | None = None
    last: int | None = None


def sentence(source: str) -> tuple[str, ...] | None:
    """The six words that a GRID file's path tells; None where it is no such name."""
    parts = Path(REMARK.sub("", source)).parts
    found = next((one for part in parts if (one := SENTENCE.search(Path(part).stem))), None)
    if found is None:
        return None
    return tuple(words[letter] for words, letter in zip(WORDS, found.groups(), strict=True))


def transcripts(data: Path) -> dict[str, tuple[Word, ...]]:
    """Words of every clip that are known: from ``align/<id or name>.align``, else from the source's name.

    Raises:
        DataError: no manifest, or an ``.align`` file that cannot be read.
    """
    path = data / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["id"], row.get("source") or "") for row in csv.DictReader(file)]
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: cannot be read; give a folder with manifest.csv") from error
    found: dict[str, tuple[Word, ...]] = {}
    for name, source in rows:
        words = sentence(source)
        stems = [name, *([Path(REMARK.sub("", source)).stem] if source else [])]
        aligned = next((place for stem in stems if (place := data / "align" / f"{stem}.align").is_file()), None)
        if aligned is not None:
            found[name] = read_align(aligned)
        elif words is not None:
            found[name] = tuple(Word(word) for word in words)
    return found


def read_align(path: Path) -> tuple[Word, ...]:
    """Words of an ``.align`` file with their times, pauses left out.

    Raises:
        DataError: it is none.
    """
    words = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            first, last, text = line.split()
            if text not in QUIET:
                times = (round(int(time) * FRAME_HZ / ALIGN_HZ) for time in (first, last))
                words.append(Word(text, *times))
                LEXICON[text]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is no alignment of GRID's words ({error})") from error
    return tuple(words)


def phones_of(words: tuple[Word, ...]) -> tuple[int, ...]:
    """Places in ``PHONES`` of what is said."""
    return tuple(PHONES.index(phone) for word in words for phone in LEXICON[word.text])


def frame_phones(words: tuple[Word, ...], frames: int) -> list[int]:
    """What is said in each frame, by word times: 0 in pauses, phone ``p`` as ``p + 1``, its word cut evenly.

    -1 throughout where a word's times are not known.
    """
    if any(word.first is None or word.last is None for word in words):
        return [-1] * frames
    labels = [0] * frames
    for word in words:
        first, last, said = word.first or 0, word.last or 0, phones_of((word,))
        for frame in range(first, min(last, frames)):
            labels[frame] = said[(frame - first) * len(said) // (last - first)] + 1
    return labels
