"""Between stages 1 and 2: which clips are in sync, which off by a constant, which neither (methods.md section 3)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from kouxing.data.manifest import Clip
from kouxing.errors import DataError
from kouxing.face.offset import Calibration, Offset, drift, features, find_offset
from kouxing.media.aside import keeping
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

DRIFTS = 2.0
"""Frames by which the offsets of a clip's parts may differ from the whole clip's."""
DRIFTING = 0.3
"""Share of the parts that differ by more, from which on a clip is dropped."""
SURE_LEAD = 5.0
"""Lead in log-odds from which on a part's offset counts there."""
LEAST = 0.3
"""Chance from which on a clip is kept: a tenth of foreign sounds pass, on ten draws of spoiled clips (docs/log.md)."""
FARTHEST = 13
"""Frames; clips that are farther off are dropped."""
STILL, SHORT_STILL = 0.5, 2.0
"""Frames; clips that are less off are left where they are. Offsets of clips under two seconds are less exact."""
KEPT = {"true": True, "false": False}
"""As the column is written; spreadsheets write it in capitals."""
FEWEST_PARTS_S = 4
"""Drift is looked for in clips of this length."""


@dataclass(frozen=True)
class Verdict:
    """What the filter says of one clip.

    Attributes:
        id: the clip's.
        kept: False where it is dropped.
        late: frames by which its sound is late; kept clips are moved by that much.
        offset: the same between frames; NaN where none is told.
        confidence: LSE-C.
        chance: that the sound is this picture's own; 0 where none is told.
        reason: why it is dropped; empty where it is kept.
    """

    id: str
    kept: bool
    late: int
    offset: float
    confidence: float
    chance: float
    reason: str


@dataclass(frozen=True)
class Belief:
    """From what the similarities of a clip look like to the chance that its sound is its own.

    Attributes:
        weights: of ``clues``, the constant last; fitted on held-out clips with their own sound, as it is and moved, and
            with foreign sound.
    """

    weights: tuple[float, ...]

    def chance(self, told: Float) -> float:
        """Of ``clues``."""
        logit = float(np.dot(told, self.weights[:-1]) + self.weights[-1])
        return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


def clues(found: Offset, sims: Float, spoken: Bool) -> Float:
    """What tells a clip's own sound from another's: ``[5] float32``.

    Lead in log-odds of the best lag over all that are not beside it, and the same per spoken frame; confidence (LSE-C);
    mean similarity at the best lag, and how far that is above the mean over lags.
    """
    heard = max(1, int(spoken[: len(sims)].sum()))
    lead = float(np.expm1(features(found.evidence, found.curve, heard)[0]))
    level = np.nanmean(sims, axis=0)
    best = level[int(found.evidence.argmax())]
    return np.array(
        [np.log1p(lead), lead / heard, found.confidence * np.sqrt(heard), best, best - level.mean()], np.float32
    )


def heard_only(sims: Float, spoken: Bool) -> Float:
    """Similarities without those to silence, which says nothing of lags; as they are where a lag would lose them all.

    Args:
        sims: ``[T, 2 * reach + 1]`` (``face.offset.similarities``).
        spoken: ``[T]``, frames in which the sound is not silent.
    """
    frames, lags = sims.shape
    at = np.arange(frames)[:, None] + np.arange(lags) - lags // 2
    heard = spoken[at.clip(0, len(spoken) - 1)]
    rest = np.where(heard, sims, np.float32(np.nan))
    return rest if np.isfinite(rest).any(axis=0).all() else sims


def judge_clip(name: str, sims: Float, spoken: Bool, belief: Belief, calibration: Calibration | None = None) -> Verdict:
    """Decide on one clip.

    Args:
        name: its id.
        sims: ``[T, 2 * reach + 1]`` (``face.offset.similarities``), best of discriminators that have not seen the clip.
        spoken: ``[T]``, frames in which the sound is not silent.
        belief: from where on clips are kept.
        calibration: of the discriminators.
    """
    sims = heard_only(sims, spoken)
    found = find_offset(sims, spoken, calibration)
    if found.abstained:
        return Verdict(name, False, 0, found.frames, found.confidence, 0.0, found.abstained)
    late, short = round(found.frames), len(sims) < 2 * FRAME_HZ
    still = SHORT_STILL if short else STILL
    chance = belief.chance(clues(found, sims, spoken))

    def told(kept: bool, reason: str = "") -> Verdict:
        moved = late if kept and abs(found.frames) >= still else 0
        return Verdict(name, kept, moved, round(found.frames, 2), round(found.confidence, 4), round(chance, 4), reason)

    if chance < LEAST:
        return told(False, "low confidence")
    if abs(late) > FARTHEST:
        return told(False, "too far off")
    if len(sims) >= FEWEST_PARTS_S * FRAME_HZ:
        _, parts = drift(sims, 2 * FRAME_HZ, FRAME_HZ, spoken, calibration)
        sure = [part for part in parts if not part.abstained and _lead(part) >= SURE_LEAD]
        if sure and np.mean([abs(part.frames - found.frames) > DRIFTS for part in sure]) > DRIFTING:
            return told(False, "drifts")
    return told(True)


def _lead(found: Offset) -> float:
    return float(np.expm1(features(found.evidence, found.curve, found.rows)[0]))


def write_verdicts(path: Path, clips: Mapping[str, Clip], verdicts: Sequence[Verdict]) -> None:
    """Set 2's manifest: every clip of set 1 with what was decided and why; written aside, then renamed."""
    names = [field.name for field in fields(Clip)] + [field.name for field in fields(Verdict) if field.name != "id"]
    with keeping(path, shared=True) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for verdict in verdicts:
            writer.writerow(asdict(clips[verdict.id]) | asdict(verdict))


def read_verdicts(path: Path) -> list[Verdict]:
    """What ``write_verdicts`` wrote.

    Raises:
        DataError: the file is something else.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            verdicts = [
                Verdict(
                    row["id"], KEPT[row["kept"].lower()], int(row["late"]), float(row["offset"]),
                    float(row["confidence"]), float(row["chance"]), row["reason"],
                )
                for row in csv.DictReader(file)
            ]  # fmt: skip
        if not verdicts:
            raise ValueError("no clip in it")
        return verdicts
    except (KeyError, TypeError, AttributeError, ValueError, csv.Error) as error:
        problem = f"column or value {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path}: is not what a filter decided ({problem}); give set2.csv of train sync or recipes/in_step.py"
        ) from error


def check_clips(path: Path, verdicts: Sequence[Verdict], names: Iterable[str]) -> None:
    """Refuse decisions about other clips.

    Args:
        path: where they are from. verdicts: what it says. names: ids of the clips that are asked about.

    Raises:
        DataError: nothing is said of one of them.
    """
    told = {verdict.id for verdict in verdicts}
    missing = [name for name in names if name not in told]
    if missing:
        raise DataError(
            f"{path}: says nothing of clip {missing[0]}; it was made from other data; give what is told of these"
        )
