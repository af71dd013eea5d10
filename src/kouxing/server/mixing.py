"""Who moves what: a captured face and a spoken one, mixed by groups of coefficients, with smooth cross-fades.

Rules name for each group whether it follows the captured face, the spoken one, or either: the captured one while
nobody speaks, the spoken one while the sound does. Where capture ends (a phone put down, a cable pulled), its groups
fade back to the spoken or resting face by themselves, and forth again when it returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, ROTATIONS
from kouxing.errors import OptionError
from kouxing.server.mocap_frames import Capture, Seen
from kouxing.types import Bool, Float
from kouxing.units import COEFFICIENT_HZ

WHO = ("captured", "spoken", "either")
_BEGINNINGS = {
    "eyes": ("eye",),
    "brows": ("brow",),
    "cheeks": ("cheek", "nose"),
    "mouth": ("jaw", "mouth", "tongue"),
}
GROUPS = (*_BEGINNINGS, "head")
"""``head`` is the rotations of head and eyeballs, which speech does not move."""
PRESETS: dict[str, dict[str, str]] = {
    "face": {"eyes": "captured", "brows": "captured", "cheeks": "captured", "mouth": "spoken", "head": "captured"},
    "captured": dict.fromkeys(GROUPS, "captured"),
    "spoken": dict.fromkeys(GROUPS, "spoken"),
    "either": {"eyes": "captured", "brows": "captured", "cheeks": "captured", "mouth": "either", "head": "captured"},
}
"""``face``: a captured face with a spoken mouth, the default."""
STALE_S = 0.25
"""Capture whose last frame is older is over: 15 frames of a phone, 7 of a slow webcam."""
FADE_S = 0.2
"""A group goes from one face to the other in so long."""
DELAY_S = 1 / COEFFICIENT_HZ
"""Capture is read one row late, so that a row lies between two frames instead of behind the last."""
MOST_BEHIND_S = 0.1
"""Rows that are made late catch up with so much of what was captured meanwhile; the rest is skipped."""
HANG_S = 0.3
"""``either`` stays with the spoken mouth for so long after the speech: a pause between words is no end of it."""

_COLUMNS: dict[str, NDArray[np.intp]] = {
    group: np.array([place for place, name in enumerate(COEFFICIENTS) if name.startswith(begins)])
    for group, begins in _BEGINNINGS.items()
}


@dataclass(frozen=True)
class Rules:
    """For each of ``GROUPS`` one of ``WHO``."""

    who: Mapping[str, str]

    def __post_init__(self) -> None:
        if set(self.who) != set(GROUPS) or set(self.who.values()) - set(WHO):
            raise ValueError(f"rules must name {', '.join(GROUPS)} as {', '.join(WHO)}, got {dict(self.who)}")


FACE = Rules(PRESETS["face"])


def read_rules(text: str) -> Rules:
    """Read ``face``, ``captured``, ``spoken``, ``either``, or changes to ``face`` as ``mouth=either,eyes=spoken``.

    Raises:
        OptionError: a word that is none of those.
    """
    if text in PRESETS:
        return Rules(PRESETS[text])
    who = dict(PRESETS["face"])
    for part in text.split(","):
        group, _, name = (word.strip() for word in part.partition("="))
        if group in PRESETS and not name:
            who = dict(PRESETS[group])
        elif group in GROUPS and name in WHO:
            who[group] = name
        else:
            raise OptionError(
                f"--mix {text}: {part.strip()!r} is not known; write {', '.join(PRESETS)}, "
                f"or GROUP=WHO of {', '.join(GROUPS)} and {', '.join(WHO)}"
            )
    return Rules(who)


class Mixer:
    """Mixes one session's rows as they are made.

    Args:
        rules: who moves what; may be changed at any time, the change is faded.
        captures: sources in the order of preference; for each call the first one whose face is fresh is used.

    Attributes:
        rotations: ``[n, 9]`` radians of the rows mixed last: the captured ones, faded in and out; None where nothing
            was captured.
        shares: how far each group follows the captured face, 0..1.
    """

    def __init__(self, rules: Rules = FACE, captures: Sequence[Capture] = ()) -> None:
        self.rules = rules
        self.captures = tuple(captures)
        self.rotations: Float | None = None
        self.shares: dict[str, float] = dict.fromkeys(GROUPS, 0.0)
        self._last_s: float | None = None
        self._read_s: float | None = None
        self._spoke_s = -np.inf
        self._source: Capture | None = None
        self._face: _Face | None = None
        self._before: _Face | None = None
        self._change = 1.0

    def reset(self) -> None:
        """Row times begin anew; fades go on from where they are."""
        self._last_s, self._spoke_s = None, -np.inf

    def mix(self, rows: Float, times_s: NDArray[np.float64], now_s: float, speaking: bool | Bool = False) -> Float:
        """Mix the next rows.

        Args:
            rows: ``[n, 52] float32`` of speech or rest.
            times_s: ``[n]`` when each is shown, on the session's clock, increasing from call to call.
            now_s: ``time.monotonic()``. The last row gets the newest captured face, rows before it what came since the
                last call, so that captured motion never jumps, whether rows are made one by one or a hundred ahead.
            speaking: ``[n]`` or one for all: whether the sound speaks there.

        Returns:
            ``[n, 52]``; ``rows`` itself while nothing is captured.
        """
        if rows.ndim != 2 or rows.shape[1] != len(COEFFICIENTS) or len(times_s) != len(rows):
            raise ValueError(f"rows must be [n, {len(COEFFICIENTS)}] with n times, got {rows.shape}, {len(times_s)}")
        self.rotations = None
        if not len(rows):
            return rows
        seen = self._seen(self._moments(now_s - DELAY_S, times_s))
        spoken = self._speech(times_s, np.broadcast_to(np.asarray(speaking, bool), len(rows)))
        if seen is None and not any(self.shares.values()):
            self._last_s = float(times_s[-1])
            return rows
        shares = np.empty((len(rows), len(GROUPS)), np.float32)
        changes = np.empty((len(rows), 1), np.float32)
        for row, moment in enumerate(times_s):
            step = 0.0 if self._last_s is None else max(float(moment) - self._last_s, 0.0) / FADE_S
            self._last_s = float(moment)
            fresh = seen is not None and bool(seen.age_s[row] < STALE_S)
            for place, group in enumerate(GROUPS):
                self.shares[group] = _towards(self.shares[group], self._wanted(group, fresh, bool(spoken[row])), step)
                shares[row, place] = self.shares[group]
            self._change = changes[row, 0] = _towards(self._change, 1.0, step)
        return self._joined(rows, self._held(seen, _smooth(changes), len(rows)), _smooth(shares))

    def _moments(self, until_s: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """When each row's captured face was seen: evenly from where the last call ended to ``until_s``."""
        count = len(times_s)
        length = float(times_s[-1] - times_s[0]) + DELAY_S
        begin = until_s - length if self._read_s is None else max(self._read_s, until_s - length - MOST_BEHIND_S)
        self._read_s = until_s
        return np.asarray(until_s - (until_s - min(begin, until_s)) * np.arange(count - 1, -1, -1) / count)

    def _seen(self, moments: NDArray[np.float64]) -> Seen | None:
        """The first source that is fresh, or None."""
        for capture in self.captures:
            seen = capture.at(moments)
            if seen is None or seen.age_s[-1] >= STALE_S:
                continue
            if capture is not self._source:
                # Another device, or one that comes back: its face comes in slowly over the one held till now.
                self._before = self._face
                self._source, self._change = capture, 0.0
            return seen
        self._source = None
        return None

    def _speech(self, times_s: NDArray[np.float64], speaking: Bool) -> Bool:
        """Speech with short pauses filled."""
        filled = np.empty(len(times_s), bool)
        # After an interruption times go back: what was to be said there was not.
        self._spoke_s = min(self._spoke_s, float(times_s[0]))
        for row, moment in enumerate(times_s):
            if speaking[row]:
                self._spoke_s = float(moment)
            filled[row] = float(moment) - self._spoke_s < HANG_S
        return filled

    def _wanted(self, group: str, fresh: bool, spoken: bool) -> float:
        who = self.rules.who[group]
        return float(fresh and (who == "captured" or (who == "either" and not spoken)))

    def _held(self, seen: Seen | None, changes: Float, count: int) -> _Face | None:
        """The captured face of ``count`` rows; where capture is over, what was seen last."""
        if seen is None:
            return None if self._face is None else self._face.of(count)
        face = _Face(seen.values, seen.rotations, np.tile(seen.known.astype(np.float32), (count, 1)))
        if self._before is not None:
            face = self._before.to(face, changes)
        self._face = face.last()
        return face

    def _joined(self, rows: Float, face: _Face | None, shares: Float) -> Float:
        if face is None:
            return rows
        weight = np.zeros(rows.shape, np.float32)
        for place, columns in enumerate(_COLUMNS.values()):
            weight[:, columns] = shares[:, place : place + 1]
        if face.turns is not None and shares[:, -1].any():
            self.rotations = np.asarray(face.turns * shares[:, -1:], np.float32)
        if not any(self.shares.values()):
            self._face = self._before = None
        return np.clip(rows + weight * face.known * (face.values - rows), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class _Face:
    """Captured rows: values ``[n, 52]``, rotations ``[n, 9]`` or None, and how far each coefficient is told, 0..1."""

    values: Float
    turns: Float | None
    known: Float

    def last(self) -> _Face:
        """Its last row."""
        return _Face(self.values[-1:], None if self.turns is None else self.turns[-1:], self.known[-1:])

    def of(self, count: int) -> _Face:
        """One row held for ``count``."""
        turns = None if self.turns is None else np.tile(self.turns, (count, 1))
        return _Face(np.tile(self.values, (count, 1)), turns, np.tile(self.known, (count, 1)))

    def to(self, other: _Face, changes: Float) -> _Face:
        """From this one row to another face, as far as ``changes`` ``[n, 1]`` says."""
        turns = other.turns
        if self.turns is not None or turns is not None:
            before = np.zeros((1, len(ROTATIONS)), np.float32) if self.turns is None else self.turns
            after = np.zeros_like(before) if turns is None else turns
            # A device without rotations: the head comes back to rest, and is then its own again.
            turns = None if turns is None and changes[0] == 1 else before + changes * (after - before)
        return _Face(
            self.values + changes * (other.values - self.values),
            turns,
            self.known + changes * (other.known - self.known),
        )


def _towards(share: float, wanted: float, step: float) -> float:
    return min(share + step, wanted) if wanted > share else max(share - step, wanted)


def _smooth(share: Float) -> Float:
    """Fades begin and end slowly."""
    return np.asarray(share * share * (3 - 2 * share), np.float32)
