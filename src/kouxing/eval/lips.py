"""``kouxing evaluate lips``: dub the clips of a split and let the independent judge measure them.

The judge sees tracked landmarks and pixels only; the sync discriminator's opinion (LSE-C, LSE-D) stands beside it.
Both parts of a split (GRID and in the wild) are reported apart. Finished clips are kept, so that the same command goes
on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kouxing import weights
from kouxing.data.manifest import Clip, read_manifest
from kouxing.errors import DataError, OptionError
from kouxing.eval.expert import Expert
from kouxing.eval.judge import Row, Spoken, judge_baselines, judge_clip, judge_older, judge_opening, speech_of
from kouxing.eval.lips_figures import lips_figures
from kouxing.eval.redub import Scene, Studio
from kouxing.eval.report import Report, figures, plain, write_text
from kouxing.eval.sheet import read_picture, write_picture, write_pictures
from kouxing.infer.discriminator import MOUTH, Discriminator
from kouxing.infer.parts import Parts, shipped
from kouxing.infer.score_listen import Judge
from kouxing.media.reader import read_video

VERSION = 5
"""Raise it when a change to hearing, judging, cropping or pasting makes finished rows stale."""
OUT = Path("kouxing-evaluation")

Progress = Callable[[int, int], None]


def evaluate(
    data: Path,
    preset: str = "fast",
    split: str = "test",
    limit: int | None = None,
    out: Path | None = None,
    against: Path | None = None,
    opening: bool = True,
    *,
    parts: Parts | None = None,
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge ``lips`` on a split.

    Args:
        data: data folder (``data.manifest``) with 25 fps clips.
        preset: which network.
        split: which split.
        limit: at most so many clips of each part.
        out: folder for rows, JSON and pictures; ``kouxing-evaluation`` by default.
        against: folder with older dubs of the clips, each with its own speech and as ``<id>.mp4``: they are judged as
            well, and the gain over them is told.
        opening: measure ``--mouth`` as well; a quarter of the work.
        parts: tracker, speech encoder, network and paste; the shipped ones by default. Finished rows are taken up again
            only under the same ``parts.identity``.
        judge: sync discriminator; the shipped one by default.
        progress: called with (clips done, clips in all).

    Returns:
        The report; its files are written.

    Raises:
        DataError, MediaError: the data, or the older dubs, are not as they should be.
        WeightError: weights are missing or damaged.
        OptionError: ``limit`` below 1; ``against`` lacks a clip.
        OutputError: ``out`` cannot be written.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"--limit {limit}: at least one clip of each part is needed")
    clips = choose_clips(read_manifest(data, split), limit)
    pairs = partners(clips)
    older = {} if against is None else {clip.id: _older(against, clip) for clip in clips}
    folder = out or OUT
    parts = parts or shipped()
    store = folder / f"clips-{preset}-{_key(parts, preset)}"
    bench = _Bench(data, folder, store, Studio(parts, preset), Expert(judge or Discriminator(threads=1)))
    rows: list[Row] = []
    if progress:
        progress(0, len(clips))
    for done, clip in enumerate(clips, 1):
        rows.append(bench.row(clip, pairs[clip.id], opening, older.get(clip.id)))
        if progress:
            progress(done, len(clips))
    strips = [read_picture(store / f"{row['id']}.png") for row in rows]
    pictures = write_pictures(rows, strips, folder)
    report = Report(preset, split, tuple(rows), {**figures(rows), **lips_figures(rows)})
    return Report(preset, split, report.rows, report.figures, (report.write(folder), *pictures))


def choose_clips(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    """Clips of both parts in the order of their ids, spread evenly over each part where ``limit`` cuts."""
    chosen: list[Clip] = []
    for part in ("grid", "wild"):
        found = sorted((clip for clip in clips if clip.part == part), key=lambda clip: clip.id)
        count = len(found) if limit is None else min(limit, len(found))
        chosen += [found[at * len(found) // count] for at in range(count)]
    return chosen


Pair = tuple["Clip | None", "Clip | None"]


def partners(clips: Sequence[Clip]) -> dict[str, Pair]:
    """Whose speech each clip is dubbed with: id -> (other clip of its part, unrelated clip).

    The first is of the same part and another speaker. The second is of the *other* part: sentences of one studio
    corpus share their rhythm (pause, speech, pause), so that their real mouths already correlate with 0.2 to 0.4. Where
    there is no other part, it is again of another speaker, not the first one if possible. Depends on the ids only.
    """
    ordered = sorted(clips, key=lambda clip: clip.id)
    pairs: dict[str, Pair] = {}
    for part in ("grid", "wild"):
        same = [clip for clip in ordered if clip.part == part]
        other = [clip for clip in ordered if clip.part != part]
        for at, clip in enumerate(same):
            turned = [same[(at + len(same) // 2 + step) % len(same)] for step in range(len(same))]
            strangers = [one for one in turned if one.speaker != clip.speaker]
            cross = strangers[0] if strangers else None
            wrong = other[at * len(other) // len(same)] if other else (strangers[-1] if strangers else None)
            pairs[clip.id] = (cross, wrong)
    return pairs


def _older(folder: Path, clip: Clip) -> Path:
    path = folder / f"{clip.id}.mp4"
    if not path.is_file():
        raise OptionError(f"--against {folder}: holds no {path.name}; it wants a dub of every clip that is judged")
    return path


class _Bench:
    """Judges clip by clip; what is there from an earlier run is not made again, nor read what nobody needs."""

    def __init__(self, data: Path, folder: Path, store: Path, studio: Studio, expert: Expert) -> None:
        self._data, self._folder, self._store = data, folder, store
        self._studio, self._expert = studio, expert
        self._held: Scene | None = None
        self._speech: dict[str, Spoken] = {}

    def row(self, clip: Clip, pair: Pair, opening: bool, older: Path | None) -> Row:
        """All that is told of one clip; ``older`` is a dub of it that was made before."""
        cross, wrong = pair
        partners = {"cross": cross.id if cross else None, "wrong": wrong.id if wrong else None}
        name = f"{clip.id}.json"
        baselines = self._folder / f"baselines-{weights.card(MOUTH)['sha256'][:10]}"
        row = _keep(baselines / name, {"wrong": partners["wrong"]}, lambda: self._baselines(clip, wrong))
        picture = self._store / f"{clip.id}.png"
        row |= _keep(self._store / name, partners, lambda: self._ours(clip, pair, picture), picture)
        row["cross_language"] = cross.language if cross else None
        if opening:
            place = self._store / "opening" / name
            row |= _keep(place, {}, lambda: judge_opening(self._scene(clip), self._studio))
        if older is not None:
            told = {"video": hashlib.sha256(older.read_bytes()).hexdigest()}
            row |= _keep(self._folder / "against" / name, told, lambda: self._before(clip, older))
        return row

    def _baselines(self, clip: Clip, wrong: Clip | None) -> Row:
        heard = self._spoken(wrong) if wrong else None
        return judge_baselines(self._scene(clip), self._spoken(clip), heard, self._studio, self._expert)

    def _ours(self, clip: Clip, pair: Pair, picture: Path) -> Row:
        cross, wrong = (self._spoken(one) if one else None for one in pair)
        row, strip = judge_clip(self._scene(clip), self._spoken(clip), cross, wrong, self._studio, self._expert)
        # The picture first: a row that is there is whole.
        write_picture(picture, strip)
        return row

    def _before(self, clip: Clip, video: Path) -> Row:
        try:
            return judge_older(self._scene(clip), list(read_video(video)), self._studio)
        except ValueError as error:
            raise DataError(
                f"{video}: is no dub of {clip.id} frame for frame ({error}); make it from that clip"
            ) from error

    def _spoken(self, clip: Clip) -> Spoken:
        if clip.id not in self._speech:
            self._speech[clip.id] = speech_of(self._scene(clip), self._expert)
        return self._speech[clip.id]

    def _scene(self, clip: Clip) -> Scene:
        if self._held is None or self._held.clip.id != clip.id:
            self._held = self._studio.load(self._data, clip, self._folder / "tracks" / f"{clip.id}.npz")
        return self._held


def _keep(path: Path, about: Mapping[str, Any], make: Callable[[], Row], beside: Path | None = None) -> Row:
    """The row at ``path`` if it was made of the same (``about``) and ``beside`` is there, else a new one."""
    about = {**about, "version": VERSION}
    if path.exists() and (beside is None or beside.exists()):
        try:
            row: Row = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            row = {}
        if {key: row.get(key) for key in about} == about:
            return row
    row = plain({**make(), **about})
    write_text(path, json.dumps(row))
    return row


def _key(parts: Parts, preset: str) -> str:
    """Short hash of what paints and of the discriminator that judges: other weights, other rows."""
    told = json.dumps({**parts.identity(preset), "judge": weights.card(MOUTH)["sha256"]}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:10]
