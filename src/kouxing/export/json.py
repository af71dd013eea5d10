"""Coefficients as JSON: one object with names, exact rate and a row a frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from kouxing.arkit import COEFFICIENTS, ROTATIONS
from kouxing.errors import DataError
from kouxing.types import CoefficientTrack

FORMAT = "kouxing coefficients"
VERSION = 1
DECIMALS = 6


def to_json(track: CoefficientTrack) -> Iterator[bytes]:
    """UTF-8, piece by piece, a row a line, values to six decimals.

    ``{"format", "version", "rate": "60/1", "start": "0/1", "names": [52], "frames": [{"time", "values"}, …]}``; with
    rotations also ``"rotation_names": [9]`` and ``"rotations"`` in each frame, in radians. ``time`` is in seconds.
    Unevenly spaced tracks carry ``"time_base"`` and each frame its ``"pts"``, which is exact.
    """
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "rate": _text(track.rate),
        "start": _text(track.start),
        "names": list(COEFFICIENTS),
    }
    if track.pts is not None:
        head["time_base"] = _text(track.time_base)
    if track.rotations is not None:
        head["rotation_names"] = list(ROTATIONS)
    yield (json.dumps(head, indent=1)[:-2] + ',\n "frames": [').encode()
    for row in range(len(track)):
        frame: dict[str, Any] = {"time": round(float(track.time(row)), DECIMALS)}
        if track.pts is not None:
            frame["pts"] = int(track.pts[row])
        frame["values"] = _rounded(track.values[row])
        if track.rotations is not None:
            frame["rotations"] = _rounded(track.rotations[row])
        yield f"{',' if row else ''}\n  {json.dumps(frame)}".encode()
    yield b"\n ]\n}\n"


def from_json(content: bytes, where: str) -> CoefficientTrack:
    """Read what ``to_json`` wrote, or the like with names in another order; missing coefficients are 0.

    Raises:
        DataError: not such a file.
    """
    try:
        told = json.loads(content)
        if told["format"] != FORMAT or told["version"] != VERSION:
            raise ValueError(f"format {told['format']!r} version {told['version']!r}, not {FORMAT!r} version {VERSION}")
        with np.errstate(over="ignore"):
            return _track(told)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, OverflowError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        what = f"{why} is missing or unknown" if isinstance(error, KeyError) else why
        raise DataError(f"{where} holds no coefficients as JSON ({what}): write it anew with kouxing") from error


def _track(told: dict[str, Any]) -> CoefficientTrack:
    frames = told["frames"]
    table = np.array([frame["values"] for frame in frames], np.float32).reshape(len(frames), len(told["names"]))
    rate = Fraction(told["rate"])
    named = CoefficientTrack.of({name: table[:, place] for place, name in enumerate(told["names"])}, rate)
    turns = pts = None
    if "rotation_names" in told:
        order = [told["rotation_names"].index(name) for name in ROTATIONS]
        turns = np.array([frame["rotations"] for frame in frames], np.float32).reshape(len(frames), -1)[:, order]
    if "time_base" in told:
        pts = np.array([frame["pts"] for frame in frames], np.int64)
    base = Fraction(told.get("time_base", "1/60"))
    return CoefficientTrack(named.values, rate, turns, pts, base, Fraction(told["start"]))


def _text(number: Fraction) -> str:
    return f"{number.numerator}/{number.denominator}"


def _rounded(row: np.ndarray) -> list[float]:
    return [round(number, DECIMALS) for number in row.tolist()]
