"""Between stages 1 and 2: which clips are in sync, which off by a constant, which neither (methods.md section 3)."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from kouxing.data.manifest import Clip
from kouxing.face.offset import Calibration, Offset, drift, features, find_offset
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

DRIFTS = 2.0
"""Frames by which the offsets of a clip's parts may differ from the whole clip's."""
DRIFTING = 0.3
"""Share of the parts that differ by more, from which on a clip is dropped."""


@dataclass(frozen=True)
class Verdict:
    """What the filter says of one clip.

    Attributes:
        id: the clip's.
        kept: False where it is dropped.
        late: frames by which its sound is late; kept clips are moved by that much.
        offset: the same between frames; NaN where none is told.
        confidence: LSE-C.
        lead: log-odds of the best lag over all that are not beside it.
        reason: why it is dropped; empty where it is kept.
    """

    id: str
    kept: bool
    late: int
    offset: float
    confidence: float
    lead: float
    reason: str


@dataclass(frozen=True)
class Limits:
    """From where on clips are kept.

    Attributes:
        lead: log-odds of the best lag over all that are not beside it.
        short_lead: the same for clips under two seconds.
        per_frame: what a frame of offset takes off their lead: a single word tells little, and most are in step.
        farthest: frames; clips that are farther off are dropped.
        dead: frames; clips that are less off are left where they are.
        short_dead: the same for clips under two seconds, whose offsets are less exact.
    """

    lead: float = 10.0
    short_lead: float = 2.0
    per_frame: float = 0.25
    farthest: int = 13
    dead: float = 0.5
    short_dead: float = 2.0


def judge_clip(
    name: str, sims: Float, spoken: Bool, calibration: Calibration | None = None, limits: Limits | None = None
) -> Verdict:
    """Decide on one clip.

    Args:
        name: its id.
        sims: ``[T, 2 * reach + 1]`` (``face.offset.similarities``).
        spoken: ``[T]``, frames in which the sound is not silent.
        calibration: of the discriminator.
        limits: from where on clips are kept.
    """
    limits = limits or Limits()
    found = find_offset(sims, spoken, calibration)
    if found.abstained:
        return Verdict(name, False, 0, found.frames, found.confidence, 0.0, found.abstained)
    lead = _lead(found)
    late, short = round(found.frames), len(sims) < 2 * FRAME_HZ
    dead = limits.short_dead if short else limits.dead

    def told(kept: bool, reason: str = "") -> Verdict:
        moved = late if kept and abs(found.frames) >= dead else 0
        return Verdict(name, kept, moved, round(found.frames, 2), round(found.confidence, 4), round(lead, 2), reason)

    if (lead - limits.per_frame * abs(late) < limits.short_lead) if short else lead < limits.lead:
        return told(False, "low confidence")
    if abs(late) > limits.farthest:
        return told(False, "too far off")
    if len(sims) >= 4 * FRAME_HZ:
        _, parts = drift(sims, 2 * FRAME_HZ, FRAME_HZ, spoken, calibration)
        sure = [part for part in parts if not part.abstained and _lead(part) >= limits.lead / 2]
        if sure and np.mean([abs(part.frames - found.frames) > DRIFTS for part in sure]) > DRIFTING:
            return told(False, "drifts")
    return told(True)


def _lead(found: Offset) -> float:
    return float(np.expm1(features(found.evidence, found.curve, found.rows)[0]))


def write_verdicts(path: Path, clips: Mapping[str, Clip], verdicts: Sequence[Verdict]) -> None:
    """Set 2's manifest: every clip of set 1 with what was decided and why; written aside, then renamed."""
    names = [field.name for field in fields(Clip)] + [field.name for field in fields(Verdict) if field.name != "id"]
    part = path.with_suffix(f".{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for verdict in verdicts:
            writer.writerow(asdict(clips[verdict.id]) | asdict(verdict))
    os.replace(part, path)


def read_verdicts(path: Path) -> list[Verdict]:
    """What ``write_verdicts`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Verdict(
                row["id"], row["kept"] == "True", int(row["late"]), float(row["offset"]), float(row["confidence"]),
                float(row["lead"]), row["reason"],
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip
