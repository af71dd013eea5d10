"""What a run is made of, by content: a resume with anything else would be another run under its name."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from kouxing.data.mouths import Mouths
from kouxing.data.sync import STEPS
from kouxing.train.loop import BEST


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


def of_clips(clips: Sequence[Mouths]) -> str:
    """Checksum of which clips there are, and how long each is."""
    return f"{zlib.crc32(repr([(one.clip.id, len(one.found)) for one in clips]).encode()):08x}"


def checksum(path: Path) -> str:
    """CRC-32 of a file, eight hexadecimal digits; its name where it is none."""
    return f"{zlib.crc32(path.read_bytes()):08x}" if path.is_file() else path.name
