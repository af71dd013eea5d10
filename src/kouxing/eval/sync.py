"""``kouxing evaluate sync``: offsets planted into held-out clips and found again, pairs told apart, stages compared.

What is true in a clip is its own offset, told by all compared discriminators together: clips in the wild may be off by
themselves. Offsets are planted in the content, never by padding, which would give them away.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kouxing.audio.encoder import SpeechEncoder
from kouxing.data.footage import load_footage
from kouxing.data.manifest import read_manifest
from kouxing.errors import DataError
from kouxing.eval import sync_plots
from kouxing.eval.report import PARTS, plain, write_text
from kouxing.eval.sync_calibration import Embedded, calibration_error, reliability
from kouxing.eval.sync_clips import CLEAN, WAYS, Source, aucs, correlation_lag, embed, opening_similarities, source
from kouxing.eval.sync_metrics import cosines, inner_windows, is_right, voted, whole_clip
from kouxing.eval.sync_second import hear, mixed, outlined
from kouxing.face.offset import REACH, Calibration, find_offset, lag_evidence, similarities
from kouxing.infer.discriminator import MOUTH, Discriminator
from kouxing.infer.score_opinion import Shapes
from kouxing.types import Float
from kouxing.units import FRAME_HZ, MEL_BANDS, MELS_PER_FRAME

OUT = Path("kouxing-evaluation")
WINDOWS = 40
"""One-second windows per clip."""
LONG_S = 2.9
"""Clips of three seconds, some of which lack a few frames."""
STAGES = {"one": "stage1_score", "two": "stage2_score", "three": "stage3_score", "onestage": "baseline_onestage_score"}
JUDGED = "judged"
"""What is measured throughout; beside the stages of one run it may be the mean of several."""
SCORES = STAGES | {JUDGED: "judged_score"}
SPOILED = "spoiled.json"


@dataclass(frozen=True)
class SyncReport:
    """What an evaluation of ``sync`` found.

    Attributes:
        split: on what.
        figures: by key, as in ``docs/figures/sync.json``.
        corruptions: stage -> way of spoiling -> mean of its AUCs.
        clips: per clip its own offset and the shares found again.
        files: what was written.
    """

    split: str
    figures: dict[str, float]
    corruptions: dict[str, dict[str, float]]
    clips: list[dict[str, Any]]
    files: tuple[Path, ...] = field(default_factory=tuple)

    def table(self) -> Table:
        """Offsets and AUCs, then the stages under each corruption."""
        table = Table(
            title=f"sync, split {self.split}",
            caption="score: mean of the AUCs by cosine of 5 and 25 frames, both parts",
        )
        for title in ("measure", *PARTS.values()):
            table.add_column(title, justify="left" if title == "measure" else "right")
        for title, key in (
            ("whole clips within 1 frame", "within1"), ("1 s windows within 1 frame", "within1_1s"),
            ("own offset within 1 frame of 0", "own_zero"), ("AUC, 5 frames, cosine", "auc5"),
            ("AUC, 25 frames, cosine and how both move", "auc25"),
            ("AUC, 25 frames, mean cosine", "auc25_cosine"),
            ("AUC, 5 frames, with second opinion", "auc5_seconded"),
            ("AUC, 25 frames, with second opinion", "auc25_seconded"),
            ("AUC, 5 frames, votes among lags", "auc5_voted"), ("AUC, 25 frames, votes among lags", "auc25_voted"),
            ("landmarks: whole clips within 1 frame", "baseline_landmark_within1"),
            ("landmarks: 1 s windows within 1 frame", "baseline_landmark_within1_1s"),
        ):  # fmt: skip
            table.add_row(title, *(_cell(self.figures.get(f"{key}_{part}")) for part in PARTS))
        for stage, ways in self.corruptions.items():
            table.add_section()
            table.add_row(f"[bold]{stage}[/bold]", f"score {_cell(self.figures.get(SCORES.get(stage, '')))}", "")
            for way, score in ways.items():
                table.add_row(f"  {way}", _cell(score), "")
        return table


def _cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.3f}"


def evaluate(
    data: Path,
    split: str = "test",
    out: Path | None = None,
    run: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SyncReport:
    """Measure the discriminator on a split.

    Args:
        data: data folder.
        split: which split.
        out: folder for ``sync.json`` and plots.
        run: run folder of ``kouxing train sync``: its weights are judged instead of the shipped ones, its stages are
            compared, and what its filter found is told.
        progress: called with (clips done, clips in all).

    Raises:
        DataError: no usable clip of the split.
        WeightError: no weights.
    """
    read_manifest(data, split)
    judge = Discriminator(threads=1, folder=run if run is not None and (run / f"{MOUTH}.onnx").exists() else None)
    clips = [source(data, one) for one in load_footage(data, split)]
    speakers = {clip.footage.clip.id: clip.footage.clip.speaker for clip in clips}
    judges = {JUDGED: judge} | _stages(run)
    vectors = _vectors(judges, clips, progress)
    own = _own(vectors)
    calibration = judge.calibration or Calibration()
    figures, rows, chances = _offsets(vectors[JUDGED][CLEAN], own, calibration)
    figures |= _baseline(clips, own)
    figures |= {f"calibration_{name}": value for name, value in chances.items() if isinstance(value, float)}
    corruptions: dict[str, dict[str, float]] = {}
    whole = {name: round(value) for name, value in own.items()}
    for stage, ways in vectors.items():
        told = {way: aucs(embedded, speakers, whole, cosines) for way, embedded in ways.items()}
        corruptions[stage] = {way: float(np.mean(list(each.values()))) for way, each in told.items()}
        if stage == JUDGED:
            clean = ways[CLEAN]
            plainly = _named("cosine", told[CLEAN])
            figures |= aucs(clean, speakers, whole)
            figures |= {name: value for name, value in plainly.items() if name.startswith("auc25")}
            weighed = partial(voted, steepness=calibration.steepness)
            figures |= _named("voted", aucs(clean, speakers, whole, weighed))
        if run is not None:
            figures[SCORES[stage]] = float(np.mean(list(corruptions[stage].values())))
    figures |= _seconded(clips, vectors[JUDGED][CLEAN], speakers, whole)
    figures |= _cost(judge) | _filtered(run)
    place = out or OUT
    report = SyncReport(split, plain(figures), corruptions, rows)
    files = (
        sync_plots.reliability(chances["rows"], place / "sync-reliability.png"),
        sync_plots.lags(_curves(vectors[JUDGED][CLEAN], calibration), place / "sync-lags.png"),
        _write(report, place / "sync.json"),
    )
    return SyncReport(split, report.figures, corruptions, rows, files)


def _stages(run: Path | None) -> dict[str, Discriminator]:
    """The stages of a run folder that were exported."""
    if run is None:
        return {}
    if not run.is_dir():
        raise DataError(f"{run}: is no run folder of `kouxing train sync`")
    there = [name for name in STAGES if (run / name / f"{MOUTH}.onnx").exists()]
    return {name: Discriminator(threads=1, folder=run / name) for name in there}


Vectors = dict[str, dict[str, list[Embedded]]]


def _vectors(
    judges: Mapping[str, Discriminator], clips: Sequence[Source], progress: Callable[[int, int], None] | None
) -> Vectors:
    """Stage -> way -> vectors of every clip. Pictures and sound are spoiled once for all stages."""
    found: Vectors = {stage: {way: [] for way in WAYS} for stage in judges}
    for done, clip in enumerate(clips, 1):
        for way in WAYS:
            pictures, mel = clip.pictures(way), clip.mel(way)
            for stage, judge in judges.items():
                found[stage][way].append(embed(judge, clip, pictures, mel))
        if progress is not None:
            progress(done, len(clips))
    return found


def _own(vectors: Vectors) -> dict[str, float]:
    """Each clip's own offset by the evidence of all stages together, so that none of them sets its own measure."""
    found: dict[str, float] = {}
    for same in zip(*(ways[CLEAN] for ways in vectors.values()), strict=True):
        sims = np.concatenate([similarities(one.mouth, one.speech) for one in same])
        told = find_offset(sims)
        found[same[0].id] = 0.0 if told.abstained else told.frames
    return found


def _offsets(
    clips: Sequence[Embedded], own: Mapping[str, float], calibration: Calibration
) -> tuple[dict[str, float], list[dict[str, Any]], dict[str, Any]]:
    """Planted offsets found again, per part (means over clips); and how the told chances compare with that."""
    rng = np.random.default_rng(0)
    rows, chances, right = [], [], []
    for clip in clips:
        at = own[clip.id]
        row: dict[str, Any] = {"id": clip.id, "part": clip.part, "own": at, "seconds": len(clip.mouth) / FRAME_HZ}
        if len(clip.mouth) >= LONG_S * FRAME_HZ:
            # By its own estimate, as a user would plant it: what all stages think is not at hand then.
            alone = clip.own(calibration)
            row["alone"] = alone
            found = [
                is_right(late, told, alone)
                for late, told in whole_clip(clip.mouth, clip.speech, clip.spoken, alone, calibration)
            ]
            row["whole"] = float(np.mean(found))
        windows = list(inner_windows(clip.mouth, clip.speech, clip.spoken, at, rng, WINDOWS, clip.reach, calibration))
        if windows:
            row["windows"] = float(np.mean([is_right(late, told, at) for late, told in windows]))
        for late, told in windows:
            chances.append(told.probability)
            right.append(is_right(late, told, at))
        rows.append(row)
    figures: dict[str, float] = {}
    for part in PARTS:
        mine = [row for row in rows if row["part"] == part]
        for key, name in (("whole", "within1"), ("windows", "within1_1s")):
            values = [row[key] for row in mine if key in row]
            if values:
                figures[f"{name}_{part}"] = float(np.mean(values))
        if mine:
            figures[f"own_zero_{part}"] = float(np.mean([abs(row["own"]) <= 1 for row in mine]))
    told_chances, marks = np.array(chances), np.array(right, bool)
    if not len(marks) or not np.isfinite(told_chances).all():
        return figures, rows, {"rows": []}
    error = calibration_error(told_chances, marks)
    sure = told_chances >= 0.8
    wrong = float((~marks[sure]).mean()) if sure.any() else math.nan
    return figures, rows, {"rows": reliability(told_chances, marks), "error": error, "sure_wrong": wrong}


def _baseline(clips: Sequence[Source], own: Mapping[str, float]) -> dict[str, float]:
    """Cross-correlation of tracked opening and heard opening, measured in the same way."""
    encoder = SpeechEncoder(threads=1)
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for clip in clips:
        seen, heard = opening_similarities(clip, encoder)
        frames = len(seen)
        at = correlation_lag(seen, heard)
        if frames >= LONG_S * FRAME_HZ:
            marks = []
            for late in range(-REACH, REACH + 1):
                if abs(at + late) > REACH:
                    continue
                first, last = max(0, late), frames + min(0, late)
                marks.append(abs(correlation_lag(seen[first:last], heard[first - late : last - late]) - at - late) <= 1)
            found.setdefault(f"baseline_landmark_within1_{clip.group}", []).append(float(np.mean(marks)))
        marks = []
        for _ in range(20 * WINDOWS):
            late, first = int(rng.integers(-REACH, REACH + 1)), int(rng.integers(0, max(1, frames - FRAME_HZ + 1)))
            start, stop = first - late - REACH, first - late + FRAME_HZ + REACH
            true = own[clip.footage.clip.id]
            if start < 0 or stop > frames or abs(true + late) > REACH or len(marks) == WINDOWS:
                continue
            marks.append(abs(_inner_lag(seen[first : first + FRAME_HZ], heard[start:stop]) - late - true) <= 1)
        if marks:
            found.setdefault(f"baseline_landmark_within1_1s_{clip.group}", []).append(float(np.mean(marks)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _seconded(
    clips: Sequence[Source], embedded: Sequence[Embedded], speakers: Mapping[str, str], own: Mapping[str, int]
) -> dict[str, float]:
    """``aucs`` of the discriminator's cosine and the scorer's second opinion together."""
    ear = SpeechEncoder(threads=1)
    both = [
        mixed(one, Shapes(outlined(clip.footage.geometry, clip.footage.found), hear(ear, clip.footage.mel)))
        for clip, one in zip(clips, embedded, strict=True)
    ]
    return _named("seconded", aucs(both, speakers, own, cosines))


def _named(by: str, told: Mapping[str, float]) -> dict[str, float]:
    """``auc5_grid`` -> ``auc5_BY_grid``."""
    return {name.replace("_", f"_{by}_"): value for name, value in told.items()}


def _inner_lag(seen: Float, heard: Float) -> int:
    """Lag of the second of ``seen [25]`` within ``heard [25 + 2 * REACH]``."""
    good = np.isfinite(seen)
    scores = np.full(2 * REACH + 1, -2.0)
    for lag in range(2 * REACH + 1):
        a, b = seen[good], heard[lag : lag + len(seen)][good]
        if len(a) > 5 and a.std() > 1e-9 and b.std() > 1e-9:
            scores[lag] = np.corrcoef(a, b)[0, 1]
    return int(scores.argmax()) - REACH


def _cost(judge: Discriminator) -> dict[str, float]:
    """Size of both encoders, and the time of one 5-frame window on one core."""
    pictures = np.random.default_rng(0).integers(0, 256, (judge.mouth_frames, 48, 64)).astype(np.uint8)
    mel = np.zeros(((2 * judge.speech_reach + 1) * MELS_PER_FRAME, MEL_BANDS), np.float32)
    times = []
    for _ in range(60):
        began = time.perf_counter()
        judge.embed_mouths(pictures)
        judge.embed_speech(mel)
        times.append(1000 * (time.perf_counter() - began))
    return {"ms_per_window": float(np.median(times)), "model_mb": judge.size_mb()}


def _filtered(run: Path | None) -> dict[str, float]:
    path = None if run is None else run / SPOILED
    if path is None or not path.exists():
        return {}
    return {name: float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}


def _curves(clips: Sequence[Embedded], calibration: Calibration) -> dict[str, list[Float]]:
    """Evidence of every lag per clip, by part."""
    found: dict[str, list[Float]] = {}
    for clip in clips:
        sims = similarities(clip.mouth, clip.speech)
        found.setdefault(clip.part, []).append(lag_evidence(sims, calibration.steepness) / max(1, len(sims)))
    return found


def _write(report: SyncReport, path: Path) -> Path:
    told = {
        "split": report.split, "figures": report.figures, "corruptions": report.corruptions, "clips": report.clips,
    }  # fmt: skip
    write_text(path, json.dumps(plain(told), indent=1))
    return path
