"""What came out of a preparation: figures of the whole, and a sheet of faces that a person can look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kouxing.errors import MediaError
from kouxing.infer.prepare.crew import FAULT
from kouxing.infer.prepare.plan import Places, Row
from kouxing.infer.prepare.table import write_bytes
from kouxing.media.colour import to_rgb
from kouxing.media.reader import read_video
from kouxing.types import Bytes
from kouxing.units import FRAME_HZ

RANKS = (0, 5, 25, 50, 75, 95, 100)
MEASURED = (
    "seconds", "size_px", "face_px", "turn_deg", "detail", "missing", "held", "silent", "offset_frames", "confidence",
    "distance", "probability",
)  # fmt: skip
NAMED = ("split", "language", "licence", "corpus")
LONGEST_LIST = 30

SHEET_CLIPS = 48
COLUMNS = 8
THUMB_PX, LABEL_PX, LINE = 160, 43, 24
PAPER, INK = 255, (0, 0, 0)


@dataclass
class Statistics:
    """Sums over a manifest and its rejects, row by row; the rows themselves are not kept."""

    clips: int = 0
    seconds: float = 0.0
    footage_s: float = 0.0
    numbers: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURED})
    named: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in NAMED})
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejects: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """One row of the manifest."""
        self.clips += 1
        self.seconds += row["seconds"]
        for name in MEASURED:
            if row.get(name) is not None:
                self.numbers[name].append(float(row[name]))
        for name in NAMED:
            self.named[name][str(row[name])] += 1
        split = self.splits.setdefault(row["split"], {"clips": 0, "seconds": 0.0, "speakers": set()})
        split["clips"] += 1
        split["seconds"] += row["seconds"]
        split["speakers"].add(row["speaker"])

    def refuse(self, row: Row) -> None:
        """One row of the rejects."""
        self.rejects.setdefault(f"{row['step']}: {row['reason']}", []).append(row["seconds"])
        if str(row.get("detail", "")).startswith(FAULT):
            self.faults.append(f"{row['source']}: {row['detail']}")

    def told(self) -> Row:
        """All of it as JSON values."""
        return {
            "clips": self.clips,
            "seconds": round(self.seconds, 2),
            "footage_seconds": round(self.footage_s, 2),
            "splits": {
                name: {"clips": one["clips"], "seconds": round(one["seconds"], 2), "speakers": len(one["speakers"])}
                for name, one in sorted(self.splits.items())
            },
            "rejects": {
                reason: {"parts": len(lengths), "seconds": round(sum(lengths), 2)}
                for reason, lengths in sorted(self.rejects.items())
            },
            **{name: dict(sorted(count.most_common(LONGEST_LIST))) for name, count in self.named.items()},
            "percentiles": {"of": list(RANKS)}
            | {
                name: [round(float(v), 4) for v in np.percentile(values, RANKS)]
                for name, values in self.numbers.items()
                if values
            },
        }


def contact_sheet(places: Places, rows: Sequence[Row]) -> Bytes:
    """The middle picture of each clip, a line of text under it.

    Args:
        rows: of the manifest, at least one.

    Returns:
        ``[H, W, 3] uint8`` RGB.
    """
    tiles = [_tile(places, row) for row in rows]
    tiles += [np.full_like(tiles[0], PAPER)] * (-len(tiles) % COLUMNS)
    lines = [np.concatenate(tiles[first : first + COLUMNS], 1) for first in range(0, len(tiles), COLUMNS)]
    return np.concatenate(lines, 0)


def evenly(count: int) -> list[int]:
    """Places of at most ``SHEET_CLIPS`` of ``count`` rows, spread over all."""
    return sorted({round(v) for v in np.linspace(0, count - 1, min(count, SHEET_CLIPS))})


def write_sheet(places: Places, path: Path, rows: Sequence[Row]) -> None:
    """Write the contact sheet as PNG.

    Raises:
        OutputError: it cannot be written.
    """
    sheet = contact_sheet(places, rows)
    data: Any = cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))[1]
    write_bytes(path, data.tobytes())


def _tile(places: Places, row: Row) -> Bytes:
    tile = np.full((THUMB_PX + LABEL_PX, THUMB_PX, 3), PAPER, np.uint8)
    picture = _middle(read_video(places.clip(row["id"])), round(row["seconds"] * FRAME_HZ) // 2)
    if picture is not None:
        tile[:THUMB_PX] = cv2.resize(picture, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    # The end of a name tells clips of one file apart.
    name = str(row["id"])[-2 * LINE :]
    words = [name[:LINE], name[LINE:], f"{row['split']} {row['face_px']:.0f}px"]
    if row.get("offset_frames") is not None:
        words[2] += f" {row['offset_frames']:+.1f} c{row['confidence']:.1f}"
    for number, text in enumerate(words):
        at = (2, THUMB_PX + 12 + 13 * number)
        cv2.putText(tile, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.34, INK, 1, cv2.LINE_AA)
    return tile


def _middle(frames: Iterable[Any], number: int) -> Bytes | None:
    last = None
    try:
        for place, frame in enumerate(frames):
            last = frame
            if place >= number:
                break
    except MediaError:
        return None
    return None if last is None else to_rgb(last)
