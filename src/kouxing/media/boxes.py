"""The boxes of MP4 files (ISO/IEC 14496-12) that FFmpeg leaves to us: clean aperture, whole or cut off, ``uuid``."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SAMPLE_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
INNER_SKIP = {b"stsd": 8}
"""Bytes between a box's head and its inner boxes."""

VISUAL_ENTRY_SKIP = 78
CLAP = struct.Struct(">I4sIIIIiIiI")


@dataclass(frozen=True)
class Box:
    """``kind`` and where it lies: head from ``start``, contents from ``inside`` to ``end``."""

    kind: bytes
    start: int
    inside: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes in a stretch of a file, up to one that does not fit."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        inside = start + 8
        if size == 1:
            size, inside = int.from_bytes(file.read(8), "big"), start + 16
        elif size == 0:
            size = end - start
        if size < inside - start or start + size > end:
            return
        yield Box(kind, start, inside, start + size)
        start += size


def top_boxes(path: Path) -> list[Box]:
    """The outermost boxes of a file; none where it is not an MP4."""
    with open(path, "rb") as file:
        return list(boxes(file, 0, path.stat().st_size))


def is_whole(path: Path) -> bool:
    """Whether an MP4 is all there: its boxes reach exactly to the end of the file, and ``moov`` is one of them."""
    found = top_boxes(path)
    return bool(found) and found[-1].end == path.stat().st_size and any(box.kind == b"moov" for box in found)


def shown_size(path: Path) -> tuple[int, int] | None:
    """Width and height that an MP4's clean aperture (``clap``) leaves of its stored picture.

    None where there is none, or where it cuts more than the right and bottom edge.
    """
    with open(path, "rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return None
        chain = _entry_chain(file, path.stat().st_size)
        if not chain:
            return None
        entry = chain[-1]
        file.seek(entry.inside + 24)
        stored = struct.unpack(">HH", file.read(4))
        for box in boxes(file, entry.inside + VISUAL_ENTRY_SKIP, entry.end):
            if box.kind == b"clap" and box.end - box.start == CLAP.size:
                file.seek(box.start)
                return _right_bottom(CLAP.unpack(file.read(CLAP.size))[2:], stored)
    return None


def write_shown_size(path: Path, width: int, height: int) -> None:
    """Add a clean aperture that cuts the stored picture's right and bottom edge to ``width`` x ``height``.

    Raises:
        ValueError: the file is not an MP4 with one video track whose ``moov`` comes last.
    """
    with open(path, "r+b") as file:
        size = path.stat().st_size
        chain = _entry_chain(file, size)
        if not chain or chain[0].end != size:
            raise ValueError(f"{path}: moov must be the last box")
        moov, entry = chain[0], chain[-1]
        file.seek(entry.inside + 24)
        stored = struct.unpack(">HH", file.read(4))
        clap = CLAP.pack(CLAP.size, b"clap", width, 1, height, 1, width - stored[0], 2, height - stored[1], 2)
        file.seek(moov.start)
        data = bytearray(file.read())
        for box in chain:
            at = box.start - moov.start
            data[at : at + 4] = struct.pack(">I", box.end - box.start + len(clap))
        at = entry.end - moov.start
        data[at:at] = clap
        file.seek(moov.start)
        file.write(data)


def _right_bottom(numbers: tuple[int, ...], stored: tuple[int, int]) -> tuple[int, int] | None:
    """Size of an aperture that starts at the picture's top left corner."""
    width_n, width_d, height_n, height_d, x_n, x_d, y_n, y_d = numbers
    if not (width_d and height_d and x_d and y_d):
        return None
    size = (width_n // width_d, height_n // height_d)
    at_corner = 2 * x_n == (size[0] - stored[0]) * x_d and 2 * y_n == (size[1] - stored[1]) * y_d
    return size if at_corner and 0 < size[0] <= stored[0] and 0 < size[1] <= stored[1] else None


def _entry_chain(file: BinaryIO, size: int) -> list[Box]:
    """Boxes from ``moov`` down to the sample entry of the first video track; empty where there is none."""
    for moov in boxes(file, 0, size):
        if moov.kind != SAMPLE_ENTRY[0]:
            continue
        for trak in boxes(file, moov.inside, moov.end):
            chain = [moov, trak]
            for kind in SAMPLE_ENTRY[2:]:
                inside = chain[-1].inside
                found = next((box for box in boxes(file, inside, chain[-1].end) if box.kind == kind), None)
                if found is None or trak.kind != b"trak":
                    break
                chain.append(found)
                if kind == b"minf" and not any(b.kind == b"vmhd" for b in boxes(file, found.inside, found.end)):
                    break
            else:
                stsd = chain[-1]
                entry = next(boxes(file, stsd.inside + INNER_SKIP[b"stsd"], stsd.end), None)
                if entry is not None and entry.end - entry.inside > VISUAL_ENTRY_SKIP:
                    return [*chain, entry]
    return []
