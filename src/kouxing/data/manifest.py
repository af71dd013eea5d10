"""Which clips there are: the manifest of a data set, validated while it is read."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

from kouxing.errors import DataError

SPLITS = ("train", "val", "test", "test-person")
MORE = "give `kouxing prepare` more speakers, larger shares (--split 0.6/0.2/0.2), or splits in --info"
"""What helps where a split is empty."""
STUDIO = ("GRID", "GRID s1")
"""Corpora reported as GRID; all others count as "in the wild"."""
WORD_S = 2
"""Shorter clips are single words."""


@dataclass(frozen=True)
class Clip:
    """One row of ``manifest.csv``.

    Attributes:
        id: name of ``clips/<id>.mp4`` and ``tracks/<id>.npz``.
        split: one of ``SPLITS``; splits are by speaker.
        speaker: who is seen.
        language: ISO 639-1 code, ``und`` where unknown.
        seconds: length.
        licence: ``open`` or ``research``.
        corpus: where it is from.
    """

    id: str
    split: str
    speaker: str
    language: str
    seconds: float
    licence: str
    corpus: str

    @property
    def part(self) -> str:
        """``grid`` (studio) or ``wild``: figures are reported apart."""
        return "grid" if self.corpus in STUDIO else "wild"

    @property
    def group(self) -> str:
        """``words`` for a single word of any part, else the part: training draws and judges them apart."""
        return "words" if self.seconds < WORD_S else self.part


NEEDED = tuple(field.name for field in fields(Clip))
"""Columns; a manifest may have more."""


def read_manifest(data: Path, split: str | None = None) -> list[Clip]:
    """Read ``manifest.csv`` of a data folder.

    Args:
        data: folder with ``manifest.csv``, ``clips/`` and ``tracks/``.
        split: only this split.

    Raises:
        DataError: no manifest, a missing column or value, an unknown split, a doubled id, or no clip of the split.
    """
    path = data / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or ()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); --data wants a folder with manifest.csv"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is not CSV in UTF-8 ({error}); save it as that") from error
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise DataError(
            f"{path}: has no column {', '.join(missing)}; its first line names the columns, with commas between them"
        )
    clips = [_clip(row, path, line) for line, row in enumerate(rows, 2)]
    if len({clip.id for clip in clips}) != len(clips):
        raise DataError(f"{path}: an id occurs twice")
    chosen = [clip for clip in clips if split in (None, clip.split)]
    if not chosen:
        wanted = "no clip" if split is None else f"no clip of split {split!r}; {MORE}"
        raise DataError(f"{path}: {wanted}")
    return chosen


def _clip(row: dict[str, str], path: Path, line: int) -> Clip:
    missing = [name for name in NEEDED if not row[name]]
    if missing:
        raise DataError(f"{path}, line {line}: no value for {', '.join(missing)}")
    if row["split"] not in SPLITS:
        raise DataError(f"{path}, line {line}: split {row['split']!r} is none of {', '.join(SPLITS)}")
    if Path(row["id"]).name != row["id"]:
        raise DataError(f"{path}, line {line}: id {row['id']!r} is not a plain file name")
    try:
        seconds = float(row["seconds"])
    except ValueError:
        raise DataError(f"{path}, line {line}: seconds {row['seconds']!r} is not a number") from None
    return Clip(**{**{name: row[name] for name in NEEDED}, "seconds": seconds})  # type: ignore[arg-type]
