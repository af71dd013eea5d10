"""What commands print: one JSON object for machines, or lines for people."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import typer


def plain(value: Any) -> Any:
    """``value`` in JSON's types: dataclasses become objects, exact fractions and numpy numbers become numbers.

    What JSON has no number for (NaN, infinity) becomes null.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Fraction):
        return float(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


WARNINGS = "warnings"
"""The field of a report that is not a value but notes to the user."""


def print_json(value: Any) -> None:
    """One JSON object on standard output, and nothing else."""
    told = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    # Where the output lacks letters, JSON has its own way to write them.
    typer.echo(told if _writable(told) == told else json.dumps(plain(value), allow_nan=False))


def print_fields(value: Any) -> None:
    """One ``name: value`` line a field; a field with several values has a line for each, a group one for its own."""
    for name, entry in plain(value).items():
        if name == WARNINGS:
            continue
        for one in entry if isinstance(entry, list) else [entry]:
            if isinstance(one, dict):
                print_fields(one)
            elif one is not None:
                shown = f"{one:.4g}" if isinstance(one, float) else str(one)
                typer.echo(f"{name.replace('_', ' ')}: {_writable(shown)}")


def _writable(text: str) -> str:
    """With escapes for letters that the output's encoding lacks, and for file names of another one."""
    # None where whoever started us has closed it; then nothing is printed.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def print_report(made: Any, as_json: bool) -> None:
    """What a command made: as JSON, or as lines with the report's ``warnings`` as notes on standard error."""
    if as_json:
        print_json(made)
        return
    print_fields(made)
    for warning in made.warnings:
        typer.echo(f"kouxing: note: {warning}", err=True)
