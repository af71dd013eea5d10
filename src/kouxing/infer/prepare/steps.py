"""The steps of ``prepare``: each does what an earlier run has not done, keeps it, and writes its table."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kouxing.errors import DataError, MediaError
from kouxing.infer.prepare import summary, table
from kouxing.infer.prepare.crew import Crew, Failed
from kouxing.infer.prepare.cut import Cutting, cut
from kouxing.infer.prepare.find import Inspection, inspect, source_of
from kouxing.infer.prepare.plan import Chunk, Media, Places, Reject, Row, Settings, Source
from kouxing.infer.prepare.watch import Watching, watch
from kouxing.media.aside import keeping, output_errors
from kouxing.units import FRAME_HZ

Progress = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total): files, then seconds of footage."""

MANIFEST, REJECTS, STATISTICS, SHEET = "manifest.csv", "rejects.csv", "statistics.json", "sheet.png"

UNHEARD_S = 0.5
"""Shorter ends without sound are not worth a line."""

CLIP_ID = re.compile(r"(.*-[0-9a-f]{6})-[0-9a-f]{8}-\d{5}")
"""Begins with its source's."""
MEDIA_COLUMNS = ("id", "source", "seconds", "width", "height", "rate")
SHOT_COLUMNS = ("source", "start_s", "seconds", "found", "face_px")
PIECE_COLUMNS = (
    "id", "source", "start_s", "seconds", "x", "y", "side_px", "face_px", "turn_deg", "detail", "missing", "held",
    "silent",
)  # fmt: skip
CLIP_COLUMNS = ("id", "size_px")
SYNC_COLUMNS = ("id", "offset_frames", "confidence", "distance", "probability")
MANIFEST_COLUMNS = (
    "id", "split", "speaker", "language", "seconds", "size_px", "face_px", "licence", "corpus", "source",
    "start_s", "turn_deg", "detail", "missing", "held", "silent", "offset_frames", "confidence", "distance",
    "probability",
)  # fmt: skip
REJECT_COLUMNS = ("source", "start_s", "seconds", "step", "reason", "detail")


class Steps:
    """One run over a data set's steps."""

    def __init__(
        self,
        places: Places,
        settings: Settings,
        crew: Crew,
        landmarker: Path | None,
        sync: str,
        report: Progress | None,
    ) -> None:
        self.places, self.settings, self.crew, self.landmarker = places, settings, crew, landmarker
        self.sync_step = f"sync-{sync}" if sync else ""
        self.report = report
        self.all: list[Media] = []
        self.refused: list[Reject] = []
        self.worked_s = 0.0

    def media(self, files: Sequence[tuple[str, Path]]) -> None:
        """Step 1: which files can be used."""
        sources = list(self._sources(files))
        fresh = [source for source in sources if not self._known(source)]
        self._tell("files", len(sources) - len(fresh), len(sources))
        tasks = [Inspection(self.places, source) for source in fresh]
        for done, (number, made) in enumerate(self.crew.each(inspect, tasks), len(sources) - len(fresh) + 1):
            result = {"reason": "unreadable", "detail": made.reason} if isinstance(made, Failed) else made
            table.write_json(self._mark("media", fresh[number].name), result)
            self._tell("files", done, len(sources))
        for source in sources:
            row = table.read_json(self._mark("media", source.name))
            if "reason" in row:
                self.refused.append(Reject(source.label, 0.0, 0.0, "media", row["reason"], row.get("detail", "")))
            else:
                self.all.append(Media(source, row["seconds"], row["width"], row["height"], row["rate"]))
                if row["unheard"] > UNHEARD_S:
                    self.refused.append(Reject(source.label, row["seconds"], row["unheard"], "media", "no sound"))
        rows = ({**vars(one), "id": one.source.id, "source": one.source.label} for one in self.all)
        table.write_table(self.places.work / "1-media.csv", MEDIA_COLUMNS, rows)

    def _sources(self, files: Sequence[tuple[str, Path]]) -> Iterator[Source]:
        known: dict[str, str] = {}
        for label, path in files:
            try:
                source = source_of(label, path)
            except MediaError as error:
                self.refused.append(Reject(label, 0.0, 0.0, "media", "unreadable", str(error)))
                continue
            # The same footage under two names would come into two splits.
            if source.key in known:
                self.refused.append(Reject(label, 0.0, 0.0, "media", "the same file", f"as {known[source.key]}"))
                continue
            known[source.key] = label
            yield source

    def _known(self, source: Source) -> bool:
        """Whether step 1 is done; files that could not be used are looked at again."""
        row = table.read_json(self._mark("media", source.name))
        if row is None or "reason" in row:
            return False
        media = Media(source, row["seconds"], row["width"], row["height"], row["rate"])
        return self.places.sound(source).is_file() or all(self._is_cut(chunk) for chunk in _chunks(media))

    def listed(self) -> set[str]:
        """Ids of the sources that the data set's manifest, as an earlier run left it, has clips of."""
        path = self.places.root / MANIFEST
        if not path.is_file():
            return set()
        with path.open(encoding="utf-8", newline="") as file:
            found = (CLIP_ID.match(row.get("id") or "") for row in csv.DictReader(file))
            return {one[1] for one in found if one is not None}

    def check(self, about: table.About, shares: Sequence[float]) -> None:
        """Whether everybody is in one split only.

        Raises:
            DataError: somebody is not.
        """
        where: dict[str, str] = {}
        for media in self.all:
            told = table.described(media.source, about, shares)
            who = told["speaker"]
            if where.setdefault(who, told["split"]) != told["split"]:
                raise DataError(f"--info: speaker {who!r} is in two splits; give all files of one person the same")

    def faces(self) -> None:
        """Steps 2 and 3: the faces of each shot, and the clips they give."""
        chunks = self._all_chunks()
        tasks = [
            Watching(self.places, self.settings, chunk, self.landmarker)
            for chunk in chunks
            if not (self._has_faces(chunk) or self._is_cut(chunk))
        ]
        self._each("faces", watch, tasks)
        work = self.places.work
        table.write_table(work / "2-faces.csv", SHOT_COLUMNS, self._rows("faces", "shots"))
        table.write_table(work / "3-pieces.csv", PIECE_COLUMNS, self._rows("faces", "pieces"))

    def clips(self) -> None:
        """Step 4: the clips and their tracks."""
        tasks = []
        for chunk in self._all_chunks():
            pieces = self._pieces(chunk)
            if pieces and not self._is_cut(chunk):
                tasks.append(Cutting(self.places, chunk, tuple(pieces)))
        self._each("cut", cut, tasks)
        table.write_table(self.places.work / "4-clips.csv", CLIP_COLUMNS, self._rows("cut", "clips"))

    def sync(self) -> None:
        """Step 5: offset and confidence of each clip."""
        from kouxing.infer.prepare.agree import Judging, judge

        folder = self.places.step(self.sync_step)
        with output_errors(folder):
            folder.mkdir(exist_ok=True)
        tasks = []
        for chunk in self._all_chunks():
            names = tuple(row["id"] for row in self._made("cut", chunk, "clips"))
            if names and self._done(self.sync_step, chunk) is None:
                tasks.append(Judging(self.places, chunk, names))
        self._each(self.sync_step, judge, tasks)
        table.write_table(self.places.work / "5-sync.csv", SYNC_COLUMNS, self._rows(self.sync_step, "clips"))

    def finish(self, about: table.About, shares: Sequence[float]) -> summary.Statistics:
        """Step 6: the manifest, the rejects, the figures and the sheet; then what no later run needs goes.

        Raises:
            DataError: not one clip came out.
        """
        root = self.places.root
        statistics = summary.Statistics(footage_s=sum(media.seconds for media in self.all))
        table.write_table(root / REJECTS, REJECT_COLUMNS, self._noted(self._rejects(), statistics.refuse))
        rows = self._noted(self._manifest(about, shares), statistics.add)
        table.write_table(self.places.work / MANIFEST, MANIFEST_COLUMNS, rows)
        figures = statistics.told()
        table.write_json(root / STATISTICS, figures)
        if not statistics.clips:
            most = max(figures["rejects"], key=lambda key: figures["rejects"][key]["seconds"], default="no picture")
            raise DataError(f"{root}: not one clip came out (mostly {most}); {root / REJECTS} tells why for each part")
        picked = set(summary.evenly(statistics.clips))
        shown = [row for place, row in enumerate(self._manifest(about, shares)) if place in picked]
        summary.write_sheet(self.places, root / SHEET, shown)
        # The manifest comes last: where it is, the data set is whole.
        with keeping(root / MANIFEST) as part:
            shutil.copyfile(self.places.work / MANIFEST, part)
        for media in self.all:
            self.places.sound(media.source).unlink(missing_ok=True)
            for chunk in _chunks(media):
                self.places.faces(chunk).unlink(missing_ok=True)
        return statistics

    def _manifest(self, about: table.About, shares: Sequence[float]) -> Iterator[Row]:
        for chunk in self._all_chunks():
            sizes = {row["id"]: row for row in self._made("cut", chunk, "clips")}
            judged = {row["id"]: row for row in self._made(self.sync_step, chunk, "clips")} if self.sync_step else None
            source = chunk.media.source
            told = table.described(source, about, shares)
            for piece in self._pieces(chunk):
                name = piece["id"]
                if name in sizes and (judged is None or name in judged):
                    yield {**_timed(piece), **sizes[name], **((judged or {}).get(name) or {}), **told}

    def _rejects(self) -> Iterator[Row]:
        yield from (vars(one) for one in self.refused)
        for chunk in self._all_chunks():
            label = chunk.media.source.label
            failed = self._failed("faces", chunk)
            if failed:
                row = {"start_s": chunk.first / FRAME_HZ, "seconds": chunk.seconds, "step": "faces"}
                yield {**row, "source": label, "reason": "unreadable", "detail": failed}
            for row in self._made("faces", chunk, "rejects"):
                yield {**_timed(row), "source": label}
            for step, name in (("cut", "clips"), (self.sync_step, "sync")):
                failed = self._failed(step, chunk) if step else ""
                for piece in self._pieces(chunk) if failed else ():
                    yield {**_timed(piece), "source": label, "step": name, "reason": "unreadable", "detail": failed}

    def _rows(self, step: str, key: str) -> Iterator[Row]:
        for chunk in self._all_chunks():
            for row in self._made(step, chunk, key):
                yield {**_timed(row), "source": chunk.media.source.label}

    def _noted(self, rows: Iterator[Row], note: Callable[[Row], None]) -> Iterator[Row]:
        for row in rows:
            note(row)
            yield row

    def _all_chunks(self) -> Iterator[Chunk]:
        return (chunk for media in self.all for chunk in _chunks(media))

    def _mark(self, step: str, name: str) -> Path:
        return self.places.step(step) / f"{name}.json"

    def _done(self, step: str, chunk: Chunk) -> Row | None:
        """What a step made of a chunk; None where it has not, or failed: a process may have died of something else."""
        made: Row | None = table.read_json(self._mark(step, chunk.name))
        return None if made is None or "failed" in made else made

    def _made(self, step: str, chunk: Chunk, key: str) -> list[Row]:
        return list((self._done(step, chunk) or {}).get(key, ()))

    def _pieces(self, chunk: Chunk) -> list[Row]:
        return self._made("faces", chunk, "pieces")

    def _failed(self, step: str, chunk: Chunk) -> str:
        return str((table.read_json(self._mark(step, chunk.name)) or {}).get("failed", ""))

    def _has_faces(self, chunk: Chunk) -> bool:
        made = self._done("faces", chunk)
        return made is not None and (not made["pieces"] or self.places.faces(chunk).is_file())

    def _is_cut(self, chunk: Chunk) -> bool:
        """Whether steps 2 to 4 are done and what they made is still there."""
        faces, made = self._done("faces", chunk), self._done("cut", chunk)
        if faces is None or not faces["pieces"]:
            return faces is not None
        return made is not None and all(
            place.is_file()
            for row in made["clips"]
            for place in (self.places.clip(row["id"]), self.places.track(row["id"]))
        )

    def _each(self, step: str, work: Callable[[Any], Row], tasks: list[Any]) -> None:
        """Do a step's tasks and keep what each tells."""
        stage = step.split("-")[0]
        total = sum(chunk.seconds for chunk in self._all_chunks())
        todo = sum(task.chunk.seconds for task in tasks)
        done = total - todo
        self.worked_s = max(self.worked_s, todo)
        self._tell(stage, round(done), round(total))
        for number, made in self.crew.each(work, tasks):
            chunk = tasks[number].chunk
            result = {"failed": made.reason} if isinstance(made, Failed) else made
            table.write_json(self._mark(step, chunk.name), result)
            done += chunk.seconds
            self._tell(stage, round(done), round(total))

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self.report is not None:
            self.report(stage, done, total)


def _chunks(media: Media) -> Iterator[Chunk]:
    return (Chunk(media, number) for number in range(media.chunks))


def _timed(row: Row) -> Row:
    """Frames at 25 fps as seconds."""
    if "first" not in row:
        return row
    return {**row, "start_s": row["first"] / FRAME_HZ, "seconds": row["frames"] / FRAME_HZ}
