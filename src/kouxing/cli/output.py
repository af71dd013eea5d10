"""What commands print: one JSON object for machines, or lines for people."""

from __future__ import annotations

import dataclasses
import json
import math
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


def print_json(value: Any) -> None:
    """One JSON object on standard output, and nothing else."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))


def print_fields(value: Any) -> None:
    """One ``name: value`` line a field."""
    for name, entry in plain(value).items():
        if entry is None or isinstance(entry, (dict, list)):
            continue
        shown = f"{entry:.4g}" if isinstance(entry, float) else str(entry)
        typer.echo(f"{name.replace('_', ' ')}: {shown}")
