"""The filter between stages 1 and 2: discriminators of stage 1 judge the clips that they have not seen.

One that was trained on a clip has learned what is wrong there by heart (docs/log.md).
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kouxing.data.mouths import Mouths
from kouxing.data.spoiled import Spoil, foreign, moved, some_late, spoil
from kouxing.data.sync_filter import (
    Belief,
    Verdict,
    check_clips,
    clues,
    heard_only,
    judge_clip,
    read_verdicts,
    write_verdicts,
)
from kouxing.errors import DataError
from kouxing.eval.sync_calibration import fit
from kouxing.face.offset import Calibration, find_offset, similarities
from kouxing.media.aside import keeping
from kouxing.models.sync import Discriminator, Pupil
from kouxing.train import sync_plots
from kouxing.train.sync_stage import Stage, run_stage
from kouxing.train.sync_task import embed_mouths, embed_speech
from kouxing.types import Float

STEEPNESS = 8.0
"""Logits per unit of cosine by which lags are weighed (docs/log.md)."""
SET_TWO, SPOILED = "set2.csv", "spoiled.json"
FOLDS, MEMBERS = 3, 3
"""Parts of the clips that a discriminator of the filter does not see, one at a time; and how many judge each clip."""
DRAWS = 5
"""Other fifths of the clips that are spoiled to see what the filter finds: one draw alone may be a kind one."""
FOREIGN, MOVED = 5, 3
"""Foreign sounds, and moved ones of its own, that a held-out clip gets, to learn from what they look like."""
CLOSE = 1.5
"""Frames, with what lies between frames, within which an offset is the planted one."""
_CALIBRATION = Calibration(STEEPNESS)


@dataclass(frozen=True)
class Crew:
    """Discriminators of stage 1.

    Attributes:
        members: by the fold that they have not seen.
    """

    members: tuple[tuple[Discriminator, ...], ...]

    def similarities(self, clip: Mouths, fold: int, sounds: Sequence[Mouths] = ()) -> list[Float]:
        """``[T, 2 * reach + 1]``, the mean of those who have not seen ``fold``.

        Args:
            clip: whose pictures are seen.
            fold: of the clip.
            sounds: with the sound of each of these; by default with its own.
        """
        told = []
        for member in self.members[fold]:
            seen = embed_mouths(member, clip.pictures)
            told.append([similarities(seen, embed_speech(member, one.mel)) for one in sounds or [clip]])
        return [np.asarray(np.mean(parts, axis=0), np.float32) for parts in zip(*told, strict=True)]


def fold_of(clip: Mouths) -> int:
    """The same for the same clip, whatever else is in the set."""
    return zlib.crc32(clip.clip.id.encode()) % FOLDS


def train_crew(
    stage: Stage,
    beginner: Callable[[int], Pupil],
    mouths: Sequence[Mouths],
    held_out: Sequence[Mouths],
    out: Path,
    *,
    of: Mapping[str, str] | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> Crew:
    """Train stage 1 ``FOLDS * MEMBERS`` times, each time without one fold.

    Args:
        stage: how.
        beginner: an untrained discriminator by its seed.
        mouths: training clips.
        held_out: clips to choose by.
        out: a folder for the runs.
        of: see ``train.sync_stage.run_stage``.
        device, report: see ``train.loop.train``.
    """
    members = []
    for fold in range(FOLDS):
        seen = [one for one in mouths if fold_of(one) != fold] or list(mouths)
        row = []
        for member in range(MEMBERS):
            seed = stage.schedule.seed + 10 * fold + 100 * member
            folder = out / f"{fold}-{member}"
            own = stage.seeded(seed)
            pupil = run_stage(
                f"one without fold {fold}", own, beginner(seed), seen, held_out, folder, {}, of=of, device=device,
                report=report,
            )  # fmt: skip
            row.append(pupil.judge)
        members.append(tuple(row))
    return Crew(tuple(members))


def learn_belief(crew: Crew, held_out: Sequence[Mouths], seed: int = 0) -> Belief:
    """Learn on held-out clips what their own sound looks like, as it is and moved, and what a foreign one.

    Moved sound whose offset is not found tells nothing: such a clip had better be dropped.
    """
    rng, ways = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    rows: list[Float] = []
    own: list[bool] = []
    for clip in held_out:
        lates = [0] + [some_late(ways) for _ in range(MOVED)]
        sounds = [moved(clip, late) for late in lates] + [foreign(clip, held_out, rng) for _ in range(FOREIGN)]
        for fold in range(FOLDS):
            as_it_is = float("nan")
            for place, sims in enumerate(crew.similarities(clip, fold, sounds)):
                spoken = ~sounds[place].silent
                sims = heard_only(sims, spoken)
                found = find_offset(sims, spoken, _CALIBRATION)
                if not place:
                    as_it_is = found.frames
                lost = 0 < place < len(lates) and not abs(found.frames - as_it_is - lates[place]) <= CLOSE
                if not found.abstained and not lost:
                    rows.append(clues(found, sims, spoken))
                    own.append(place < len(lates))
    if not any(own):
        raise DataError("no held-out clip is long enough to learn from what its own sound looks like")
    table, right = np.stack(rows), np.array(own)
    middle, spread = table.mean(0), table.std(0) + 1e-6
    weights = np.array(fit((table - middle) / spread, right, STEEPNESS).weights)
    plain = (*(weights[:-1] / spread), weights[-1] - float((weights[:-1] * middle / spread).sum()))
    return Belief(tuple(float(value) for value in plain))


def filter_clips(crew: Crew, belief: Belief, mouths: Sequence[Mouths]) -> list[Verdict]:
    """What discriminators that have not seen a clip say of it."""
    return [
        judge_clip(one.clip.id, crew.similarities(one, fold_of(one))[0], ~one.silent, belief, _CALIBRATION)
        for one in mouths
    ]


def check_decided(path: Path, verdicts: Sequence[Verdict], mouths: Sequence[Mouths], out: Path) -> None:
    """Whether a run can go by what another one's filter decided.

    Args:
        path: the other's ``set2.csv``.
        verdicts: what it says.
        mouths: set 1.
        out: run folder.

    Raises:
        DataError: it says nothing of a clip, or the run began with another one.
    """
    check_clips(path, verdicts, [one.clip.id for one in mouths])
    kept = out / SET_TWO
    if kept.exists() and kept.read_bytes() != path.read_bytes():
        raise DataError(f"{kept} is another than --set2 {path}: the run began with it; give another --out")


def take_over(path: Path, out: Path) -> None:
    """Have a run go by what another one's filter decided (``check_decided``); once it is sure that it may go on."""
    with keeping(out / SET_TWO) as part:
        shutil.copyfile(path, part)


def filtered(
    crew: Callable[[], Crew],
    mouths: Sequence[Mouths],
    held_out: Sequence[Mouths],
    out: Path,
    report: Callable[[str], None],
) -> tuple[list[Mouths], dict[str, int]]:
    """Set 2, decided once and kept in ``out``: the clips, and by how much the sound of some of them is late.

    Args:
        crew: trains or loads the discriminators; asked where nothing is decided yet.
        mouths: set 1.
        held_out: clips to learn from.
        out: run folder.
        report: where the counts go.
    """
    path = out / SET_TWO
    if not path.exists():
        judges = crew()
        verdicts = filter_clips(judges, learn_belief(judges, held_out), mouths)
        sync_plots.verdicts(verdicts, out / "filter.png")
        write_verdicts(path, {one.clip.id: one.clip for one in mouths}, verdicts)
    kept, late = second_set(mouths, read_verdicts(path))
    report(f"filter: {len(kept)} of {len(mouths)} clips kept, {len(late)} of them moved in time")
    return kept, late


def second_set(mouths: Sequence[Mouths], verdicts: Sequence[Verdict]) -> tuple[list[Mouths], dict[str, int]]:
    """Data set 2: the kept clips, and by how much the sound of some of them is late."""
    told = {verdict.id: verdict for verdict in verdicts}
    missing = [one.clip.id for one in mouths if one.clip.id not in told]
    if missing:
        raise DataError(f"{SET_TWO} says nothing of clip {missing[0]}; it was made from other data, remove it")
    kept = [one for one in mouths if told[one.clip.id].kept]
    if not kept:
        raise DataError("the filter of stage 1 kept no clip; train stage 1 for more steps")
    return kept, {one.clip.id: told[one.clip.id].late for one in kept if told[one.clip.id].late}


def find_spoiled(
    stage: Stage,
    beginner: Callable[[int], Pupil],
    mouths: Sequence[Mouths],
    held_out: Sequence[Mouths],
    out: Path,
    honest: Sequence[Verdict],
    *,
    of: Mapping[str, str] | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train the filter on clips of which a fifth is spoiled, and tell what it finds; kept in ``out/spoiled.json``."""
    changed, _ = spoil(mouths, stage.schedule.seed)
    crew = train_crew(stage, beginner, changed, held_out, out / "spoiled", of=of, device=device, report=report)
    figures = drawn_figures(crew, learn_belief(crew, held_out), mouths, honest, out, stage.schedule.seed)
    (out / SPOILED).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    report("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return figures


def drawn_figures(
    crew: Crew, belief: Belief, mouths: Sequence[Mouths], honest: Sequence[Verdict], out: Path, seed: int = 0
) -> dict[str, float]:
    """``spoiled_figures``, the mean of ``DRAWS`` draws; the verdicts on the first one are kept in ``out/spoiled.csv``.

    The crew was trained on the first draw. It judges only what it has not seen, so the others are as good.
    """
    known = {verdict.id: verdict for verdict in honest}
    as_they_are = filter_clips(crew, belief, mouths)
    drawn = []
    for draw in range(DRAWS):
        changed, done = spoil(mouths, seed + draw)
        places = [place for place, one in enumerate(changed) if done[one.clip.id] != Spoil()]
        verdicts = list(as_they_are)
        for place, verdict in zip(places, filter_clips(crew, belief, [changed[p] for p in places]), strict=True):
            verdicts[place] = verdict
        if not draw:
            write_verdicts(out / "spoiled.csv", {one.clip.id: one.clip for one in changed}, verdicts)
        drawn.append(spoiled_figures(changed, verdicts, done, known))
    names = sorted({name for one in drawn for name in one})
    return {name: float(np.mean([one[name] for one in drawn if name in one])) for name in names}


def spoiled_figures(
    mouths: Sequence[Mouths], verdicts: Sequence[Verdict], done: Mapping[str, Spoil], honest: Mapping[str, Verdict]
) -> dict[str, float]:
    """Shares of wrong clips dropped, moved ones re-aligned within a frame, and good ones kept; overall and by group.

    Args:
        mouths: the clips.
        verdicts: the filter's, in their order.
        done: what was spoiled, by id.
        honest: verdicts on the clips as they are: a clip's own offset adds to the planted one.
    """
    shares: dict[str, list[bool]] = {}
    for one, verdict in zip(mouths, verdicts, strict=True):
        group = one.clip.group
        own, what = honest.get(one.clip.id), done[one.clip.id]
        if what.wrong:
            name, good = "dropped", not verdict.kept
        elif what.late:
            already = own.late if own is not None and own.kept else 0
            name, good = "realigned", verdict.kept and abs(verdict.offset - what.late - already) <= CLOSE
        else:
            name, good = "kept", verdict.kept
        for key in (f"filter_{name}", f"filter_{name}_{group}"):
            shares.setdefault(key, []).append(good)
    return {name: sum(values) / len(values) for name, values in sorted(shares.items())}
