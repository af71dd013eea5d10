"""Viseme times as speech services tell them -> cues: Azure's events, Polly's speech marks, Rhubarb's mouth cues.

Pure functions of untrusted bytes: whatever comes, they answer with cues or with a ``DataError``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kouxing.errors import DataError
from kouxing.text.visemes import Cue, rows_of_cues, shapes_of
from kouxing.types import Float

AZURE_HZ = 10_000_000
"""Azure counts in 100 ns."""
MOST_CUES = 20_000
"""About half an hour of speech; more is no answer to one text."""
LONGEST_S = 60 * 60.0

_OFFSET = ("audiooffset", "audio_offset", "privaudiooffset", "offset")
_ID = ("visemeid", "viseme_id", "privvisemeid")


@dataclass(frozen=True)
class VisemeTimes:
    """Cues in order, and the alphabet of their names (``azure``, ``polly`` or ``rhubarb``)."""

    alphabet: str
    cues: tuple[Cue, ...]

    def rows(self, length_s: float) -> Float:
        """``[ceil(60 * length_s), 52] float32`` coefficients; cues behind the sound's end are left out.

        Raises:
            DataError: a name that the alphabet has not.
        """
        return rows_of_cues([cue for cue in self.cues if cue.start_s < length_s], length_s, self.alphabet)


def read_visemes(content: bytes, where: str) -> VisemeTimes:
    """Read viseme times of any of the known forms.

    Forms: ``[{"AudioOffset": 500000, "VisemeId": 21}, …]`` (Azure, any spelling of its SDKs, 100 ns);
    ``{"time": 6, "type": "viseme", "value": "p"}`` one a line (Polly, ms; other marks are passed over), or the same as
    a list; ``{"mouthCues": [{"start": 0.0, "end": 0.1, "value": "A"}]}`` (Rhubarb, s).

    Args:
        content: JSON or JSON lines, UTF-8. where: its name, for errors.

    Raises:
        DataError: none of these, too long, names unknown, or times that go backwards.
    """
    try:
        told = _json(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: viseme times are no JSON ({type(error).__name__})") from error
    return of_json(told, where)


def of_json(told: Any, where: str) -> VisemeTimes:
    """As ``read_visemes``, of JSON values already read.

    Raises:
        DataError: see there.
    """
    if isinstance(told, dict):
        if "mouthCues" in told:
            return _checked("rhubarb", [_rhubarb(one, where) for one in _list(told["mouthCues"], where)], where)
        for name in ("visemes", "Visemes", "marks"):
            if name in told:
                return of_json(told[name], where)
        told = [told]
    marks = _list(told, where)
    if any(isinstance(one, dict) and "type" in one for one in marks):
        polly = [_polly(one, where) for one in marks if isinstance(one, dict) and one.get("type") == "viseme"]
        return _checked("polly", polly, where)
    return _checked("azure", [_azure(one, where) for one in marks], where)


def _json(content: bytes) -> Any:
    text = content.decode("utf-8-sig")
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [json.loads(line) for line in lines]


def _list(told: Any, where: str) -> list[Any]:
    if not isinstance(told, list):
        raise DataError(f"{where}: viseme times must be a list, not {type(told).__name__}")
    if len(told) > MOST_CUES:
        raise DataError(f"{where}: {len(told)} viseme times are more than {MOST_CUES}; speak a shorter text")
    return told


def _azure(one: Any, where: str) -> Cue:
    fields = {str(name).lower(): value for name, value in one.items()} if isinstance(one, dict) else {}
    offset = next((fields[name] for name in _OFFSET if name in fields), None)
    number = next((fields[name] for name in _ID if name in fields), None)
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number[:9])
    if not isinstance(number, int) or isinstance(number, bool):
        raise DataError(f"{where}: not a viseme of Azure (AudioOffset, VisemeId), Polly (time, type, value) or Rhubarb")
    return Cue(_seconds(offset, AZURE_HZ, where), str(number))


def _polly(one: dict[str, Any], where: str) -> Cue:
    value = one.get("value")
    if not isinstance(value, str) or len(value) > 8:
        raise DataError(f"{where}: a viseme mark without a short value")
    return Cue(_seconds(one.get("time"), 1000, where), value)


def _rhubarb(one: Any, where: str) -> Cue:
    value = one.get("value") if isinstance(one, dict) else None
    if not isinstance(value, str) or len(value) > 8:
        raise DataError(f"{where}: a mouth cue without a short value")
    return Cue(_seconds(one.get("start"), 1, where), value)


def _seconds(told: Any, each: int, where: str) -> float:
    if isinstance(told, bool) or not isinstance(told, (int, float)):
        raise DataError(f"{where}: a viseme without a time")
    # A whole number of any length is JSON too.
    if not (0 <= told <= LONGEST_S * each) or not math.isfinite(told):
        raise DataError(f"{where}: a viseme outside of the first hour; times are from the sound's beginning")
    return told / each


def _checked(alphabet: str, cues: Sequence[Cue], where: str) -> VisemeTimes:
    """Names are known, times increase."""
    last = 0.0
    for cue in cues:
        try:
            shapes_of(cue.shape, alphabet)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        if cue.start_s < last:
            raise DataError(f"{where}: viseme times go backwards at {cue.start_s:g} s")
        last = cue.start_s
    return VisemeTimes(alphabet, tuple(cues))
