"""Arguments as callers from Python give them, made plain: numbers of numpy, one path where several are meant."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kouxing.errors import OptionError


def face_number(value: Any) -> int:
    """The number of a face, counted from 0.

    Raises:
        OptionError: it is negative, or no whole number.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"--face {value}: give a whole number, faces are counted from 0") from None
    if number < 0:
        raise OptionError(f"--face {number}: faces are counted from 0")
    return number


def paths(given: str | Path | Iterable[str | Path]) -> list[Path]:
    """Files and folders; a single one stands for itself."""
    return [Path(given)] if isinstance(given, (str, Path)) else [Path(one) for one in given]
