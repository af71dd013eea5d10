"""Tables (CSV) and results (JSON) of the steps, what the user tells of the footage, and who is in which split."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kouxing.data.manifest import SPLITS
from kouxing.errors import DataError, OptionError
from kouxing.infer.prepare.plan import Row, Source, digest
from kouxing.media.aside import keeping

UNKNOWN, UNDETERMINED = "unknown", "und"
TOLD = ("speaker", "language", "licence", "corpus", "source", "split")
"""Columns of a manifest that only the user can tell."""

SPLIT_NAMES = ("train", "val", "test")

ODD_NAMES = "backslashreplace"
"""How what UTF-8 cannot hold, a file name of another encoding, is written: in JSON it is read back as it was."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears at once when it is whole.

    Raises:
        OutputError: it cannot be written.
    """
    with keeping(path) as part:
        part.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, the same bytes for the same value."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode(errors=ODD_NAMES))


def read_json(path: Path) -> Any:
    """What ``write_json`` wrote; None where nothing whole is."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, one after the other; what a row lacks is empty.

    Raises:
        OutputError: it cannot be written.
    """
    with keeping(path) as part, part.open("w", encoding="utf-8", errors=ODD_NAMES, newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)


@dataclass(frozen=True)
class About:
    """What is known of the footage beside its pictures.

    Attributes:
        defaults: column -> value for every file that ``rows`` does not tell of.
        rows: file (its label, its path, or the end of one of them) -> column -> value.
    """

    defaults: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, label: str, path: Path) -> dict[str, str]:
        """What is told of a file; only columns with a value."""
        told = next((self.rows[name] for name in _names(label, path) if name in self.rows), {})
        return {**self.defaults, **told}

    def unused(self, files: Iterable[tuple[str, Path]]) -> list[str]:
        """Files that are told of and not among those with these labels and paths."""
        known = {name for label, path in files for name in _names(label, path)}
        return [name for name in self.rows if name not in known]


def _names(label: str, path: Path) -> list[str]:
    """What a user may call a file, the longest first: it tells most surely which one is meant."""
    # As the path was given, with its links and "..", and where it leads.
    wholes = (label, path.absolute().as_posix(), path.resolve().as_posix())
    ends = ["/".join(parts[start:]) for parts in (one.split("/") for one in wholes) for start in range(len(parts))]
    return sorted(ends, key=lambda end: end.count("/"), reverse=True)


def read_about(path: Path | None, defaults: Mapping[str, str | None]) -> About:
    """Read ``--info``: a CSV with column ``file`` and any of ``TOLD``.

    Raises:
        DataError: it cannot be read, or has no such columns, or an unknown split.
    """
    given = {name: value.strip() for name, value in defaults.items() if value and value.strip()}
    if path is None:
        return About(given)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = set(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"--info {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if "file" not in columns or not columns & set(TOLD):
        raise DataError(f"--info {path}: needs the columns file and any of {', '.join(TOLD)}")
    told = {}
    for line, row in enumerate(rows, 2):
        name = (row.get("file") or "").strip().replace("\\", "/").removeprefix("./")
        values = {key: (row.get(key) or "").strip() for key in TOLD}
        if values["split"] and values["split"] not in SPLITS:
            raise DataError(f"--info {path}, line {line}: split {values['split']!r} is none of {', '.join(SPLITS)}")
        if name:
            told[name] = {key: value for key, value in values.items() if value}
    return About(given, told)


def shares_of(text: str) -> tuple[float, ...]:
    """``"0.9/0.05/0.05"`` (train/val/test) -> shares that sum to 1.

    Raises:
        OptionError: it is something else.
    """
    try:
        values = [float(part) for part in text.split("/")]
    except ValueError:
        values = []
    total = math.fsum(values)
    if len(values) != len(SPLIT_NAMES) or not all(0 <= value < math.inf for value in values) or not total > 0:
        raise OptionError(f"--split {text}: give shares of train, val and test, e.g. 0.9/0.05/0.05")
    if any(value % 1 for value in values) and abs(total - 1) > 0.01:
        raise OptionError(f"--split {text}: the shares of train, val and test are {total:g} in all; make them 1")
    return tuple(value / total for value in values)


def split_of(group: str, shares: Sequence[float]) -> str:
    """The split of a person (or of a file, where nobody tells who it shows), by its name alone: footage that is added
    later moves nobody."""
    place = int(digest(f"split {group}")[:13], 16) / 16**13
    for name, share in zip(SPLIT_NAMES, shares, strict=True):
        if place < share:
            return name
        place -= share
    return next(name for name, share in reversed(list(zip(SPLIT_NAMES, shares, strict=True))) if share)


def described(source: Source, about: About, shares: Sequence[float]) -> Row:
    """The manifest's columns that do not come from the pictures."""
    told = about.of(source.label, source.path)
    speaker = told.get("speaker", "")
    return {
        "split": told.get("split") or split_of(f"speaker {speaker}" if speaker else f"file {source.id}", shares),
        # Nobody told who it is: a name of its own keeps different people apart, and says so.
        "speaker": speaker or f"{UNKNOWN}-{source.id}",
        "language": told.get("language", UNDETERMINED),
        "licence": told.get("licence", UNKNOWN),
        "corpus": told.get("corpus", UNKNOWN),
        "source": told.get("source", source.label),
    }
