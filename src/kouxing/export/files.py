"""Coefficient tracks as files: the format goes by the name's ending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from kouxing.errors import DataError, OptionError, OutputError
from kouxing.export.json import from_json, to_json
from kouxing.export.livelink import from_csv, to_csv
from kouxing.media.aside import aside, is_there, output_error
from kouxing.types import CoefficientTrack

WRITERS: dict[str, Callable[[CoefficientTrack], Iterator[bytes]]] = {".csv": to_csv, ".json": to_json}
READERS: dict[str, Callable[[bytes, str], CoefficientTrack]] = {".csv": from_csv, ".json": from_json}


def check_output(path: Path, overwrite: bool, endings: tuple[str, ...] = tuple(WRITERS), option: str = "--out") -> None:
    """Complain before any work is done.

    Raises:
        OptionError: the ending names no format. OutputError: the file is there already, or its folder is not.
    """
    if path.suffix.lower() not in endings:
        raise OptionError(f"{option} {path}: end the name in {' or '.join(endings)}")
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; give a file name")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: the folder {path.parent} does not exist; make it or choose another")
        there = is_there(path)
    except (OSError, ValueError) as error:
        raise output_error(path, error) from error
    if there and not overwrite:
        raise OutputError(f"{path}: is there already; remove it, overwrite it (--force) or choose another name")


def write(track: CoefficientTrack, path: Path) -> None:
    """Write ``.csv`` (Live Link Face) or ``.json``, whole or not at all.

    Raises:
        OptionError: the ending names no format. OutputError: it cannot be written.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise OptionError(f"--out {path}: end the name in {' or '.join(WRITERS)}")
    with aside(path) as part, part.open("wb") as file:
        file.writelines(writer(track))


def read(path: Path) -> CoefficientTrack:
    """Read ``.csv`` or ``.json``.

    Raises:
        DataError: not there, or not such a file.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: end the name in {' or '.join(READERS)}")
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); check the name"
        ) from error
    return reader(content, str(path))
