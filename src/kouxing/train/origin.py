"""What a run is made of, by content: a resume with anything else would be another run under its name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from kouxing.data.mouths import Mouths
from kouxing.data.sync import STEPS
from kouxing.train.loop import BEST
from kouxing.weights import SHIPPED, home


def origin(data: Path, **parents: Path | None) -> dict[str, str]:
    """For a run's configuration (``train.loop.train``): checksums, so that nothing depends on where things lie.

    Args:
        data: data folder; its manifest counts.
        parents: run folders or weight files that the training starts from, hears with or is judged by; None: there is
            none.
    """
    found = {"data": checksum(data / "manifest.csv")}
    for name, place in parents.items():
        if place is not None:
            found[name] = checksum(place / BEST if place.is_dir() else place)
        if place is not None and (place / STEPS).is_file():
            # Which clips it moved in time, and so do those who hear with it.
            found[f"{name}_steps"] = checksum(place / STEPS)
    return found


def tell_ears(names: Sequence[str], report: Callable[[str], None]) -> None:
    """Say in one line which ears are the shipped ones where others are one's own.

    Args:
        names: weights that a training hears with. report: where the line goes.
    """
    shipped = [name for name in names if home(name) == SHIPPED]
    if 0 < len(shipped) < len(names):
        report(
            f"{', '.join(shipped)}: the shipped one hears beside one's own, and what is trained has its licence; "
            "let KOUXING_WEIGHTS name a folder with one's own"
        )


def of_clips(clips: Sequence[Mouths]) -> str:
    """Checksum of which clips there are, and how long each is."""
    return f"{zlib.crc32(repr([(one.clip.id, len(one.found)) for one in clips]).encode()):08x}"


def checksum(path: Path) -> str:
    """CRC-32 of a file, eight hexadecimal digits; its name where it is none."""
    return f"{zlib.crc32(path.read_bytes()):08x}" if path.is_file() else path.name
