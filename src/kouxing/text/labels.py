"""Phone labels beside recordings: Praat TextGrid, SPPAS XRA, Pocketsphinx JSON, HTS labels."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from kouxing.errors import DataError
from kouxing.text.phones import Phone

HTS_UNIT_S = 1e-7
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(<exists>)|([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)')
_NOISE = re.compile(r"^(fp|laugh|noise|dummy|garb|spn|<unk>|\{.*\})$", re.IGNORECASE)


def read_phones(path: Path) -> tuple[list[Phone], str]:
    """Phones of a label file.

    Args:
        path: ``.TextGrid``, ``.xra``, ``.json`` or ``.lab``.

    Returns:
        Phones in order, and their alphabet (``phones.classes``). Laughter and noise are left out: no symbol tells what
        the mouth does there. Empty where the file has words only.

    Raises:
        DataError: the file cannot be read, or is none of these.
    """
    readers = {".textgrid": _textgrid, ".xra": _xra, ".json": _pocketsphinx, ".lab": _hts}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: labels are read from {', '.join(readers)}")
    try:
        phones, alphabet = reader(path.read_text(encoding=encoding(path)))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, IndexError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: not a label file that can be read ({error})") from error
    return [phone for phone in phones if not _NOISE.match(phone.symbol)], alphabet


def encoding(path: Path) -> str:
    """Of a text file: Praat also writes UTF-16, with a mark at the beginning."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _textgrid(text: str) -> tuple[list[Phone], str]:
    for name, phones in textgrid_tiers(text):
        if name.lower().startswith("phone"):
            return phones, _guess(phones)
    return [], "ipa"


def textgrid_tiers(text: str) -> Iterator[tuple[str, list[Phone]]]:
    """Name and rows of every interval tier of a Praat TextGrid, short and long form alike.

    Raises:
        ValueError, IndexError, TypeError: it is none.
    """
    if "ooTextFile" not in text or "TextGrid" not in text:
        raise ValueError("no TextGrid header")
    # Only quoted texts and numbers that are values count.
    found = _TOKEN.findall(re.sub(r"\[\d*\]", "", text))
    tokens: list[str | float] = [float(number) if number else name or exists for name, exists, number in found]
    # "ooTextFile", "TextGrid", start, end, <exists>, number of tiers
    place = 6
    for _ in range(int(tokens[5])):
        kind, name, count = tokens[place], str(tokens[place + 1]), int(tokens[place + 4])
        size = 3 if kind == "IntervalTier" else 2
        rows = tokens[place + 5 : place + 5 + size * count]
        place += 5 + size * count
        if size == 3:
            starts, ends, symbols = rows[0::3], rows[1::3], rows[2::3]
            phones = [
                Phone(str(one).replace('""', '"'), float(start), float(end))
                for start, end, one in zip(starts, ends, symbols, strict=True)
            ]
            yield name, phones


def _guess(phones: list[Phone]) -> str:
    symbols = {phone.symbol for phone in phones if phone.symbol and not phone.symbol.startswith("[")}
    if (
        symbols
        and all(re.fullmatch(r"[a-zü]+[0-5]?", one) for one in symbols)
        and any(one[-1].isdigit() for one in symbols)
    ):
        return "pinyin"
    if symbols and all(re.fullmatch(r"[A-Z]+[0-2]?|h#|sil|sp|spn", one) for one in symbols):
        return "arpabet"
    return "ipa"


def _xra(text: str) -> tuple[list[Phone], str]:
    phones = []
    # Label files come from elsewhere: an XML bomb in one is refused with the declaration that it needs.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("XML with entities is not read")
    for tier in ElementTree.fromstring(text).iter("Tier"):
        if "phon" not in (tier.get("tiername") or tier.get("name") or "").lower():
            continue
        for row in tier.iter("Annotation"):
            begin, end, tag = row.find(".//Begin"), row.find(".//End"), row.find(".//Tag")
            if begin is not None and end is not None:
                symbol = (tag.text if tag is not None else None) or ""
                # Written alternatives, as in O/ for o or O.
                phones.append(
                    Phone(symbol.rstrip("/"), float(begin.get("midpoint", "")), float(end.get("midpoint", "")))
                )
        break
    return phones, "sampa"


def _pocketsphinx(text: str) -> tuple[list[Phone], str]:
    told = json.loads(text)
    rows = [phone for word in told["w"] for phone in word.get("w", [])]
    phones = [Phone(str(row["t"]), float(row["b"]), float(row["b"]) + float(row["d"])) for row in rows]
    return phones, "arpabet"


def _hts(text: str) -> tuple[list[Phone], str]:
    phones = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            continue
        middle = re.search(r"-([^+]+)\+", parts[2])
        phones.append(
            Phone(middle.group(1) if middle else parts[2], int(parts[0]) * HTS_UNIT_S, int(parts[1]) * HTS_UNIT_S)
        )
    return phones, "arpabet"
