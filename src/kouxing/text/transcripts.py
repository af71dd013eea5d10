"""What is said, from a text or a transcript file: .txt, .srt, Praat .TextGrid, GRID .align."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from kouxing.errors import DataError, OptionError
from kouxing.text.labels import encoding, textgrid_tiers

ENDINGS = (".txt", ".srt", ".textgrid", ".align")
ALIGN_HZ = 25_000
"""Units of GRID's ``.align`` files."""
QUIET = re.compile(r"^(|sil|sp|spn|<.*>|\[.*\]|\{.*\}|[#+*_.]+)$", re.IGNORECASE)
"""What label files write where nobody speaks, or where no word tells what is heard."""
LARGEST = 4_000_000
"""Bytes of a transcript: nobody speaks more in the longest sound that is taken."""
_TIME = re.compile(r"(\d+):(\d{2}):(\d{2})[,.](\d{1,3})\s*-->\s*(\d+):(\d{2}):(\d{2})[,.](\d{1,3})")
_MARK = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_UNSAID = re.compile(r"\[[^\]]*\]|\([^)]*\)|^\s*(?:-\s*)?[A-Z][A-Z0-9 .'\u2019-]+:(?=\s)", re.MULTILINE)
"""What subtitles tell those who do not hear: sounds, and in capitals who speaks."""
SAID = "%‰&+°§"
"""Symbols that are read out, besides those of currencies; others stand between words."""
_WORDS = ("words", "word", "tokens", "token", "tokensalign")


@dataclass(frozen=True)
class Cue:
    """A stretch of text.

    Attributes:
        text: what is said.
        start_s, end_s: between which times; None where nobody knows.
        exact: the times are those of this one word; else the words lie somewhere in between.
    """

    text: str
    start_s: float | None = None
    end_s: float | None = None
    exact: bool = False


@dataclass(frozen=True)
class Transcript:
    """Cues in order, at least one word in all of them.

    Attributes:
        cues: all with times, or a single one without.
        source: the file, or ``the text``: for messages.
    """

    cues: tuple[Cue, ...]
    source: str

    @property
    def timed(self) -> bool:
        """The cues tell when they are said."""
        return self.cues[0].start_s is not None

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(cue.text for cue in self.cues)


def read_transcript(given: str | Path) -> Transcript:
    """A transcript from a file, or the text itself.

    Args:
        given: a path that ends in one of ``ENDINGS``, in capitals or not; anything else that is no file is the text.

    Raises:
        OptionError: no word in it.
        DataError: the file is missing, too large or not what its ending says.
    """
    path = Path(given)
    ending = path.suffix.lower()
    if isinstance(given, str) and (ending not in ENDINGS or "\n" in given) and not os.path.isfile(given):
        try:
            given.encode()
        except UnicodeEncodeError as error:
            raise OptionError("the text: is not UTF-8; set the terminal to it, or give a file") from error
        return _checked((Cue(" ".join(given.split())),), "the text")
    readers = {".txt": _plain, ".srt": _subtitles, ".textgrid": _textgrid, ".align": _grid}
    if ending not in readers:
        raise DataError(f"{path}: transcripts are read from {', '.join(ENDINGS)}")
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: larger than {LARGEST // 1_000_000} MB; is it a transcript?")
        cues = readers[ending](path.read_text(encoding=encoding(path)))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); give a transcript") from error
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: is no {ending} transcript ({' '.join(str(error).split())})") from error
    return _checked(tuple(cues), str(path))


def _checked(cues: tuple[Cue, ...], source: str) -> Transcript:
    # An accent that is a character of its own reads like the letter that has it.
    whole = (replace(cue, text=unicodedata.normalize("NFC", cue.text)) for cue in cues)
    spoken = tuple(cue for cue in whole if _speaks(cue))
    if not spoken:
        raise OptionError(f"{source}: has no word in it; give what is said")
    return Transcript(spoken, source)


def words_of(text: str) -> list[str]:
    """Its words without the punctuation around them; apostrophes and hyphens inside stay, as do symbols read out."""
    return [word for word, _ in words_at(text)]


def words_at(text: str) -> list[tuple[str, int]]:
    """As ``words_of``, each with the place of its first character in ``text``."""
    found = []
    for token in re.finditer(r"\S+", text):
        inside = [at for at, letter in enumerate(token[0]) if _of_word(letter)]
        # Vowel signs and accents belong to the letter before them.
        while inside and unicodedata.category(token[0][inside[0]])[0] == "M":
            inside.pop(0)
        word = token[0][inside[0] : inside[-1] + 1] if inside else ""
        if has_letters(word) or (len(word) == 1 and _is_said(word)):
            found.append((word, token.start() + inside[0]))
    return found


def has_letters(word: str) -> bool:
    """Whether there is more to a word than symbols."""
    return any(letter.isalnum() for letter in word)


def _of_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_" or unicodedata.category(letter)[0] == "M" or _is_said(letter)


def _is_said(letter: str) -> bool:
    return letter in SAID or unicodedata.category(letter) == "Sc"


def _plain(text: str) -> list[Cue]:
    return [Cue(" ".join(text.split()))]


def _subtitles(text: str) -> list[Cue]:
    shown: list[tuple[float, float, str]] = []
    blocks = [one.strip() for one in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n"))]
    for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
        lines = block.split("\n")
        if block.isdigit() and (not following or _TIME.match(following)):
            # A number with a blank line behind it is the next cue's.
            continue
        place = next((n for n, line in enumerate(lines) if _TIME.search(line)), None)
        if place is None:
            if shown and not shown[-1][2]:
                # A blank line stands between its times and its text.
                shown[-1] = (*shown[-1][:2], "\n".join(lines))
            elif block:
                behind = f" after {shown[-1][0]:.2f} s" if shown else ""
                raise ValueError(f"a block without times{behind}: {lines[0][:40]!r}")
            continue
        found = _TIME.search(lines[place])
        assert found is not None
        parts = found.groups()
        start, end = (
            (((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(part.ljust(3, "0"))) / 1000
            for hours, minutes, seconds, part in (parts[:4], parts[4:])
        )
        shown.append((start, end, "\n".join(lines[place + 1 :])))
    cues = (Cue(" ".join(_UNSAID.sub(" ", _MARK.sub("", said)).split()), start, end) for start, end, said in shown)
    # What says nothing may stand anywhere; editing programs store the rest in any order.
    return _in_order(sorted(filter(_speaks, cues), key=lambda cue: cue.start_s or 0.0))


def _speaks(cue: Cue) -> bool:
    return any(map(has_letters, words_of(cue.text)))


def _textgrid(text: str) -> list[Cue]:
    """The tier of words if there is one, else the first tier with any text: utterances."""
    tiers = [(name, rows) for name, rows in textgrid_tiers(text) if "phon" not in name.lower()]
    # An aligner that gave up leaves its tier of words empty.
    spoken = [(name.lower(), rows) for name, rows in tiers if any(not QUIET.match(row.symbol) for row in rows)]
    named = [rows for name, rows in spoken if name in _WORDS or name.endswith("- words")]
    chosen = (named or [rows for _, rows in spoken] or [[]])[0]
    cues = [Cue(row.symbol.strip(), row.start_s, row.end_s) for row in chosen if not QUIET.match(row.symbol.strip())]
    if named or all(len(words_of(cue.text)) == 1 for cue in cues):
        cues = [Cue(cue.text, cue.start_s, cue.end_s, exact=True) for cue in cues]
    return _in_order(cues)


def _grid(text: str) -> list[Cue]:
    cues = []
    for line in text.splitlines():
        if not line.strip():
            continue
        start, end, word = line.split()
        if not QUIET.match(word):
            cues.append(Cue(word, int(start) / ALIGN_HZ, int(end) / ALIGN_HZ, exact=True))
    return _in_order(cues)


def _in_order(cues: list[Cue]) -> list[Cue]:
    before = 0.0
    for cue in cues:
        if cue.start_s is None or cue.end_s is None or not math.isfinite(cue.end_s):
            raise ValueError(f"{cue.text[:40]!r} has no times that are numbers")
        if cue.end_s <= cue.start_s:
            raise ValueError(f"{cue.text[:40]!r} at {cue.start_s:.2f} s ends before it begins, at {cue.end_s:.2f} s")
        if not before <= cue.start_s + 1e-3:
            raise ValueError(f"{cue.text[:40]!r} at {cue.start_s:.2f} s stands behind what begins at {before:.2f} s")
        before = cue.start_s
    return cues
