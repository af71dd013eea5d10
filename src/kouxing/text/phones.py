"""Phones and what they do to the mouth: IPA, ARPABET, SAMPA and Pinyin symbols -> articulatory mouth classes.

Only what moves lips and jaw is told apart; voicing, nasality and tone are not.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from kouxing.errors import DataError


@dataclass(frozen=True)
class Phone:
    """One sound with its time.

    Attributes:
        symbol: as the source writes it (IPA from ``text.speak``); empty in a pause.
        start_s, end_s: seconds from the beginning of the sound.
    """

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Mouth:
    """What a mouth class asks of the lips.

    Attributes:
        name: the class.
        opening: typical jaw and lip opening, 0 (closed) .. 1 (wide); None where the neighbours decide.
        rounding: -1 (spread) .. 1 (rounded, protruded).
        closed: the lips must touch each other.
    """

    name: str
    opening: float | None
    rounding: float
    closed: bool = False


MOUTHS = (
    Mouth("rest", 0.0, 0.0),
    Mouth("bilabial", 0.0, 0.0, closed=True),
    Mouth("labiodental", 0.1, 0.0),
    Mouth("rounded-close", 0.2, 1.0),
    Mouth("rounded-mid", 0.5, 0.8),
    Mouth("open", 1.0, 0.0),
    Mouth("mid", 0.6, -0.2),
    Mouth("spread", 0.3, -1.0),
    Mouth("sibilant", 0.1, -0.5),
    Mouth("postalveolar", 0.2, 0.6),
    Mouth("dental", 0.25, 0.0),
    Mouth("alveolar", 0.2, 0.0),
    Mouth("lateral", 0.35, 0.0),
    Mouth("rhotic", 0.3, 0.3),
    Mouth("velar", 0.35, 0.0),
    Mouth("glottal", None, 0.0),
)
"""The inventory; a class is its place in this tuple. Starting values: tune them to tracked faces."""
CLASS = {mouth.name: place for place, mouth in enumerate(MOUTHS)}
REST = CLASS["rest"]

_IPA = {
    "bilabial": "pbmɓʙɸβ",
    "labiodental": "fvɱʋⱱ",
    "rounded-close": "uwʊyɥʏʉʍ",
    "rounded-mid": "oɔøœɒɵɞɶ",
    "open": "aɑæɐʌᵻ",
    "mid": "eɛεəɜɤɘɚɝ",
    "spread": "iɪjɨɯɰʝɩ",
    "sibilant": "szɬɮʦʣ",
    "postalveolar": "ʃʒɕʑʂʐɧʧʤ",
    "dental": "θðǀ",
    "alveolar": "tdnʈɖɳɗǃǂɲȵcɟ",
    "lateral": "lɫɭʎʟɺǁ",
    "rhotic": "rɹɾɻɽ",
    "velar": "kgɡŋxɣqɢχʁɴʀɠʄɰʛç",
    "glottal": "hɦʔħʕʜʢ",
}
_BY_LETTER = {letter: CLASS[name] for name, letters in _IPA.items() for letter in letters}
_BY_LETTER["ᵻ"] = CLASS["spread"]
# Some of espeak-ng's languages tell their own mnemonics for IPA.
_BY_LETTER |= {raw: _BY_LETTER[letter] for raw, letter in zip("ASNXΦ", "ɑʃŋχɸ", strict=True)}

_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AX": "ə", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d",
    "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "g", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ",
    "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
    "PAU": "", "SIL": "", "SP": "", "H#": "",
}  # fmt: skip
# Wells, J. C. (1997), SAMPA computer readable phonetic alphabet; only what differs from IPA.
_SAMPA = {
    "2": "ø", "9": "œ", "@": "ə", "A": "ɑ", "E": "ɛ", "H": "ɥ", "I": "ɪ", "J": "ɲ", "L": "ʎ", "N": "ŋ", "O": "ɔ",
    "Q": "ɒ", "R": "ʁ", "S": "ʃ", "T": "θ", "D": "ð", "U": "ʊ", "V": "ʌ", "Y": "ʏ", "Z": "ʒ", "B": "β", "G": "ɣ",
    "4": "ɾ", "6": "ɐ", "{": "æ", "}": "ʉ", "3": "ɜ", "?": "ʔ", "#": "", "+": "", "*": "", "_": "",
}  # fmt: skip
_PINYIN_INITIALS = {
    "b": "p", "p": "p", "m": "m", "f": "f", "d": "t", "t": "t", "n": "n", "l": "l", "g": "k", "k": "k", "h": "x",
    "j": "tɕ", "q": "tɕ", "x": "ɕ", "zh": "tʂ", "ch": "tʂ", "sh": "ʂ", "r": "ɻ", "z": "ts", "c": "ts", "s": "s",
    "y": "j", "w": "w",
}  # fmt: skip
_PINYIN_VOWELS = {"a": "a", "o": "o", "e": "ɤ", "i": "i", "u": "u", "v": "y", "n": "n", "g": "ŋ", "r": "ɻ"}
GOES_ON = "ː"
"""A mark alone: the phone before goes on."""
PAUSES = {"", "_", "_:", "SIL", "[SIL]", "<SIL>", "SP", "SPN", "PAU", "#", "+", "*"}


def classes(symbol: str, alphabet: str = "ipa") -> tuple[int, ...]:
    """Mouth classes that a phone goes through, in order: two for a diphthong or an affricate.

    Args:
        symbol: one phone; stress, length, tone and other marks are ignored (a mark alone gives nothing: the phone
            before goes on). A pause gives ``rest``.
        alphabet: ``ipa``, ``arpabet``, ``sampa`` or ``pinyin`` (initials and finals).

    Raises:
        DataError: no letter of it is known, or the alphabet is not.
    """
    if symbol.strip().upper() in PAUSES:
        return (REST,)
    # espeak-ng marks words of another language as (en) … (fr).
    ipa = re.sub(r"\(\w+\)", "", _to_ipa(symbol.strip(), alphabet))
    if not ipa and symbol.startswith("("):
        return ()
    found: list[int] = []
    for letter in unicodedata.normalize("NFD", ipa):
        place = _BY_LETTER.get(letter)
        if place is not None and found[-1:] != [place]:
            found.append(place)
    if found or not ipa:
        return tuple(found) or (REST,)
    if all(unicodedata.category(letter) in ("Lm", "Sk") or unicodedata.category(letter)[0] in "MPN" for letter in ipa):
        return ()
    raise DataError(f"phone {symbol!r}: no {alphabet} letter of it is known; add it to text/phones.py")


def _to_ipa(symbol: str, alphabet: str) -> str:
    if alphabet == "ipa":
        return symbol
    if alphabet == "arpabet":
        name = symbol.upper().rstrip("012")
        return _ARPABET.get(name, symbol.lower())
    if alphabet == "sampa":
        return "".join(_SAMPA.get(letter, letter) for letter in symbol if letter not in "~:`'\"%=_")
    if alphabet == "pinyin":
        name = symbol.lower().rstrip("012345").replace("ü", "v")
        if name in _PINYIN_INITIALS:
            return _PINYIN_INITIALS[name]
        # ii and iii are the buzzed vowels after z and zh.
        return "ɨ" if set(name) == {"i"} and len(name) > 1 else "".join(_PINYIN_VOWELS.get(one, one) for one in name)
    raise DataError(f"alphabet {alphabet!r}: none of ipa, arpabet, sampa, pinyin")


def mouth_classes(phones: list[Phone], count: int, rate_hz: float, alphabet: str = "ipa") -> list[int]:
    """The mouth class of each step: what sounds in its middle.

    Args:
        phones: in order; times without a phone are ``rest``. A phone of two classes is cut in the middle.
        count: steps.
        rate_hz: steps per second.
        alphabet: see ``classes``.

    Returns:
        ``count`` places in ``MOUTHS``.
    """
    steps = [REST] * count
    parts: tuple[int, ...] = (REST,)
    for phone in phones:
        parts = classes(phone.symbol, alphabet) or parts[-1:]
        length = (phone.end_s - phone.start_s) / len(parts)
        for number, place in enumerate(parts):
            first = phone.start_s + number * length
            for step in range(max(0, round(first * rate_hz)), min(count, round((first + length) * rate_hz))):
                steps[step] = place
    return steps
