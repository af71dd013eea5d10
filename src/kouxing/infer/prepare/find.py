"""Which files of footage there are, and whether they can be used."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from kouxing.errors import MediaError
from kouxing.infer.job import fingerprint
from kouxing.infer.prepare.plan import Places, Row, Source, digest
from kouxing.media.aside import keeping, output_errors
from kouxing.media.opening import opened, video_stream
from kouxing.media.reader import probe
from kouxing.media.sound import read_sound
from kouxing.units import SAMPLE_HZ

SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts",
    ".vob", ".webm", ".wmv",
)  # fmt: skip
"""What counts as footage in a folder; a file that is named itself is tried whatever its name."""

SLUG = 24
"""Letters of a file's name that its clips' names keep."""


def footage(given: Sequence[Path], without: Path) -> list[tuple[str, Path]]:
    """All files of footage in the order of their labels.

    Args:
        given: files and folders (searched to the bottom; hidden files and folders are left out).
        without: the data set's own folder, which may lie among the footage.

    Returns:
        (label, path), labels all different.

    Raises:
        MediaError: something given is not there, or nothing is found.
    """
    found: dict[str, Path] = {}
    with output_errors(without):
        own = without.resolve()
    for one in given:
        # os.path tells of names that cannot be what it tells of missing files.
        if os.path.isfile(one):
            _note(found, one.name, one)
        elif os.path.isdir(one):
            for path in sorted(one.rglob("*")):
                inside = path.relative_to(one)
                hidden = any(part.startswith(".") for part in inside.parts)
                if path.suffix.lower() not in SUFFIXES or hidden or not path.is_file():
                    continue
                if own not in path.resolve().parents:
                    _note(found, f"{one.resolve().name}/{inside.as_posix()}", path)
        else:
            raise MediaError(f"{one} does not exist; give videos or folders of videos")
    if not found:
        names = ", ".join(str(one) for one in given)
        raise MediaError(f"{names}: holds no video ({' '.join(SUFFIXES)}); give videos or folders of videos")
    return sorted(found.items())


def _note(found: dict[str, Path], label: str, path: Path) -> None:
    number, wanted = 2, label
    while wanted in found and not found[wanted].samefile(path):
        wanted, number = f"{label}#{number}", number + 1
    found.setdefault(wanted, path)


def source_of(label: str, path: Path) -> Source:
    """Name a file and read what tells its content.

    Raises:
        MediaError: it cannot be read.
    """
    print_ = fingerprint(path)
    return Source(source_id(label), label, path, digest(f"{print_['bytes']} {print_['sha256']}"))


def source_id(label: str) -> str:
    """``Source.id`` of a label."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(label).stem.lower()).strip("-")[:SLUG].rstrip("-") or "clip"
    return f"{slug}-{digest(label)[:6]}"


@dataclass(frozen=True)
class Inspection:
    """A file to look into."""

    places: Places
    source: Source


def inspect(task: Inspection) -> Row:
    """Look into a file and put its sound aside.

    Returns:
        ``seconds`` (of picture that has sound), ``unheard`` (seconds without), ``width``, ``height``, ``rate``; or
        ``reason`` for not using it.

    Raises:
        MediaError: it cannot be read, or has no sound.
        OutputError: the sound cannot be written.
    """
    path = task.source.path
    info = probe(path)
    if not info.has_video:
        return {"reason": "no picture"}
    if info.is_picture:
        return {"reason": "still picture"}
    if not info.has_sound:
        return {"reason": "no sound"}
    heard = _keep_sound(task)
    shown = float(length_s(path, info.seconds))
    return {
        "seconds": round(min(shown, heard), 3),
        "unheard": round(max(shown - heard, 0), 3),
        "width": info.width,
        "height": info.height,
        "rate": round(float(info.rate or 0), 3),
    }


def length_s(path: Path, told: Fraction | None) -> Fraction:
    """How long the picture lasts, by its packets' times; what the file says of itself may be missing or wrong."""
    first: Fraction | None = None
    last = Fraction(0)
    with opened(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise MediaError(f"{path} has no picture")
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.size:
                continue
            time = Fraction(stamp * stream.time_base)
            first = time if first is None else min(first, time)
            last = max(last, time + Fraction((packet.duration or 0) * stream.time_base))
    measured = last - first if first is not None else Fraction(0)
    return measured if measured > 0 else told or Fraction(0)


def _keep_sound(task: Inspection) -> float:
    """Write the sound; returns its seconds."""
    place = task.places.sound(task.source)
    count = 0
    with keeping(place) as part, part.open("wb") as file:
        for block in read_sound(task.source.path, SAMPLE_HZ):
            file.write((np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())
            count += len(block)
    return count / SAMPLE_HZ


def sound_of(places: Places, source: Source, first: int, last: int) -> np.ndarray:
    """Samples ``first`` up to ``last`` (not included) of a source's kept sound, int16; fewer at its end."""
    with places.sound(source).open("rb") as file:
        file.seek(2 * first)
        return np.frombuffer(file.read(2 * (last - first)), "<i2")
