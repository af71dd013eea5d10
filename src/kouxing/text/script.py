"""What letters a text is written in: an English voice spells out what it cannot read, and lips spell along."""

from __future__ import annotations

import unicodedata
from collections import Counter

from kouxing.errors import OptionError

LANGUAGES = {
    "ARABIC": "ar", "ARMENIAN": "hy", "BENGALI": "bn", "CJK": "cmn", "CYRILLIC": "ru", "DEVANAGARI": "hi",
    "ETHIOPIC": "am", "GEORGIAN": "ka", "GREEK": "el", "GUJARATI": "gu", "GURMUKHI": "pa", "HANGUL": "ko",
    "HEBREW": "he", "HIRAGANA": "ja", "KANNADA": "kn", "KATAKANA": "ja", "MALAYALAM": "ml", "MYANMAR": "my",
    "SINHALA": "si", "TAMIL": "ta", "TELUGU": "te", "THAI": "th",
}  # fmt: skip
"""First word of a letter's Unicode name -> a language of espeak-ng's that is written so, the most spoken one."""
LATIN = "en"
"""Voices of this language read Latin letters alone."""


def check_script(text: str, language: str, source: str) -> None:
    """An English voice gets Latin letters, most of them at least.

    Args:
        text: what is said.
        language: espeak-ng's name of its language.
        source: what to call the text.

    Raises:
        OptionError: most letters are of another script.
    """
    if language.lower().replace("_", "-").split("-")[0] != LATIN:
        return
    scripts = Counter(unicodedata.name(letter, "?").split(maxsplit=1)[0] for letter in text if letter.isalpha())
    foreign = Counter({name: count for name, count in scripts.items() if name in LANGUAGES})
    if 2 * foreign.total() <= scripts.total():
        return
    # Japanese is told by its kana, however many characters it shares with Chinese.
    likely = next((name for name in ("HIRAGANA", "KATAKANA") if name in foreign), foreign.most_common(1)[0][0])
    raise OptionError(
        f"{source}: is not written in Latin letters as language {language!r} is; give its own language, such as "
        f"{LANGUAGES[likely]}"
    )
