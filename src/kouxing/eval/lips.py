"""``kouxing evaluate lips``: dub the clips of a split and let the independent judge measure them.

The judge sees tracked landmarks and pixels only, never our own networks' opinion. Both parts of a split (GRID
and in the wild) are reported apart. Finished clips are kept, so that the same command goes on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from kouxing.data.manifest import Clip, read_manifest
from kouxing.errors import OptionError
from kouxing.eval.judge import Row, Spoken, judge_clip, speech_of
from kouxing.eval.redub import Studio
from kouxing.eval.report import Report, figures, plain, write_text
from kouxing.eval.sheet import read_picture, write_picture, write_pictures
from kouxing.infer.parts import Parts, shipped

VERSION = 2
"""Raise it when a change to hearing, judging, cropping or pasting makes finished rows stale."""
OUT = Path("kouxing-evaluation")

Progress = Callable[[int, int], None]


def evaluate(
    data: Path,
    preset: str = "fast",
    split: str = "test",
    limit: int | None = None,
    out: Path | None = None,
    *,
    parts: Parts | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge ``lips`` on a split.

    Args:
        data: data folder (``data.manifest``) with 25 fps clips.
        preset: which network.
        split: which split.
        limit: at most so many clips of each part.
        out: folder for rows, JSON and pictures; ``kouxing-evaluation`` by default.
        parts: tracker, speech encoder, network and paste; the shipped ones by default. Finished rows are taken up again
            only under the same ``parts.identity``.
        progress: called with (clips done, clips in all).

    Returns:
        The report; its files are written.

    Raises:
        DataError, MediaError: the data are not as they should be.
        WeightError: weights are missing or damaged.
        OptionError: ``limit`` below 1.
        OutputError: ``out`` cannot be written.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"--limit {limit}: at least one clip of each part is needed")
    clips = choose_clips(read_manifest(data, split), limit)
    pairs = partners(clips)
    folder = out or OUT
    parts = parts or shipped()
    studio = Studio(parts, preset)
    store = folder / f"clips-{preset}-{_key(parts, preset)}"
    rows: list[Row] = []
    if progress:
        progress(0, len(clips))
    for done, clip in enumerate(clips, 1):
        row = _kept(store, clip, pairs[clip.id])
        if row is None:
            row = _judge(data, clip, pairs[clip.id], folder / "tracks", store, studio)
        rows.append(row)
        if progress:
            progress(done, len(clips))
    strips = [read_picture(store / f"{row['id']}.png") for row in rows]
    pictures = write_pictures(rows, strips, folder)
    report = Report(preset, split, tuple(rows), figures(rows))
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


def _ids(pair: Pair) -> list[str | None]:
    return [clip.id if clip else None for clip in pair]


def _kept(store: Path, clip: Clip, pair: Pair) -> Row | None:
    """A finished row, if its pictures are there and it was made with the same partners."""
    path = store / f"{clip.id}.json"
    if not path.exists() or not (store / f"{clip.id}.png").exists():
        return None
    try:
        row: Row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return row if [row.get("cross"), row.get("wrong")] == _ids(pair) and row.get("version") == VERSION else None


def _judge(data: Path, clip: Clip, pair: Pair, tracks: Path, store: Path, studio: Studio) -> Row:
    scene = studio.load(data, clip, tracks / f"{clip.id}.npz")
    cross, wrong = (_spoken(data, one, tracks, studio) if one else None for one in pair)
    row, strip = judge_clip(scene, cross, wrong, studio)
    row = plain({**row, "version": VERSION})
    # The picture first: a row that is there is whole.
    write_picture(store / f"{clip.id}.png", strip)
    write_text(store / f"{clip.id}.json", json.dumps(row))
    return row


def _spoken(data: Path, clip: Clip, tracks: Path, studio: Studio) -> Spoken:
    return speech_of(studio.load(data, clip, tracks / f"{clip.id}.npz"))


def _key(parts: Parts, preset: str) -> str:
    """Short hash of what paints: other weights, other rows."""
    told = json.dumps(parts.identity(preset), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:10]
