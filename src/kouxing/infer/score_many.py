"""Scores of many videos into one file of JSON lines; stopped or killed, the same call goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kouxing import weights
from kouxing.audio.encoder import NAME as SHAPES
from kouxing.errors import KouxingError, MediaError, OptionError, OutputError
from kouxing.infer.discriminator import MOUTH, SPEECH
from kouxing.infer.given import face_number, paths
from kouxing.infer.score import EARLY, IN_STEP_WORDS, LATE, VARIES, score
from kouxing.infer.score_look import Parts, Progress, shipped
from kouxing.infer.score_report import ScoreReport
from kouxing.media.aside import alone, output_errors

VIDEOS = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".flv", ".mpg", ".mpeg", ".wmv", ".3gp",
    ".ogv",
}  # fmt: skip
"""Endings that are looked for in folders; a file that is named itself may end otherwise."""

NETWORKS = (MOUTH, SPEECH, SHAPES)

BEGINNING = b'{"video": '
"""Of every line: what was cut off is known by it, and nothing else is taken for that."""

KEPT = (
    "seconds", "verdict", "offset_frames", "offset_ms", "probability", "lse_c", "lse_d", "speaker", "drift_frames",
    "warnings",
)  # fmt: skip
"""Fields of a report that a line has."""


@dataclass(frozen=True)
class ManyReport:
    """What became of many videos.

    Attributes:
        results: the file of JSON lines.
        videos: found. earlier: of them, those that the file told already.
        in_step, late, early, varies, refused: how many got which answer, earlier ones included.
        warnings: what the user should know, a line each.
    """

    results: Path
    videos: int
    earlier: int
    in_step: int
    late: int
    early: int
    varies: int
    refused: int
    warnings: tuple[str, ...] = ()


def score_many(
    videos: str | Path | Iterable[str | Path],
    results: str | Path,
    *,
    face: int | None = None,
    parts: Parts | None = None,
    progress: Progress | None = None,
) -> ManyReport:
    """Score videos and all videos in folders, a line each as soon as it is told.

    A line holds ``video``, ``bytes``, ``changed_ns``, ``face``, ``weights`` and either the figures of ``ScoreReport``
    or ``refused``, the reason why there are none. Videos that ``results`` tells already, unchanged since and with the
    same ``face`` and ``weights``, are not looked at again; those that could not be read are, and a last line that was
    cut off.

    Args:
        videos: files and folders, these with all that is below them.
        results: the file; added to where it is there.
        face: as for ``score``.
        progress: called with ("score", videos done, videos).

    Raises:
        MediaError: a name that does not exist. OptionError: no video at all, or ``results`` is no such file.
        OutputError: ``results`` cannot be written, or another job writes it. WeightError: as for ``score``.
    """
    goal = Path(results)
    found = list_videos(videos)
    face = None if face is None else face_number(face)
    with alone(goal):
        known, networks = _read(goal), _weights()
        used = parts
        earlier = 0
        told: list[Mapping[str, Any]] = []
        for done, video in enumerate(found):
            if progress is not None:
                progress("score", done, len(found))
            key = {**_key(video, face), "weights": networks}
            line = known.get(tuple(key.values()))
            if line is None:
                # One set of networks for all.
                used = used or shipped()
                line = {**key, **_line(video, face, used)}
                _add(goal, line)
            else:
                earlier += 1
            told.append(line)
        if progress is not None:
            progress("score", len(found), len(found))
    verdicts = [line.get("verdict", "refused") for line in told]
    return ManyReport(
        results=goal,
        videos=len(found),
        earlier=earlier,
        in_step=verdicts.count(IN_STEP_WORDS),
        late=verdicts.count(LATE),
        early=verdicts.count(EARLY),
        varies=verdicts.count(VARIES),
        refused=verdicts.count("refused"),
    )


def list_videos(places: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files named and those in the folders named, in order, each once.

    Raises:
        MediaError: a name that does not exist. OptionError: none at all.
    """
    found: dict[Path, Path] = {}
    for place in paths(places):
        if os.path.isdir(place):
            inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in VIDEOS and p.is_file())
        elif os.path.exists(place):
            inside = [place]
        else:
            raise MediaError(f"{place} does not exist; check the path")
        for path in inside:
            found.setdefault(path.resolve(), path)
    if not found:
        raise OptionError("no video in what was given; name videos or folders with some")
    return list(found.values())


def _key(video: Path, face: int | None) -> dict[str, Any]:
    try:
        stat = video.stat()
    except OSError as error:
        raise MediaError(f"{video} cannot be read ({error.strerror}); leave the files alone meanwhile") from error
    return {"video": str(video.resolve()), "bytes": stat.st_size, "changed_ns": stat.st_mtime_ns, "face": face}


def _line(video: Path, face: int | None, parts: Parts) -> dict[str, Any]:
    try:
        report = score(video, face=face, parts=parts)
    except OutputError:
        raise
    except KouxingError as error:
        # Rights can be mended without a trace in the file; all else changes its size or its time.
        return {"refused": str(error), **({"unread": True} if isinstance(error.__cause__, PermissionError) else {})}
    return figures_of(report)


def _weights() -> str:
    """Changes with the networks that score.

    Raises:
        WeightError: one is missing.
    """
    told = " ".join(str(weights.card(name)["sha256"]) for name in NETWORKS)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def figures_of(report: ScoreReport) -> dict[str, Any]:
    """What a line tells of a report, in JSON's types."""
    told = {name: getattr(report, name) for name in KEPT}
    told["warnings"] = list(report.warnings)
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}
    rounded["stretches"] = [[round(p.start_s, 2), round(p.end_s, 2), round(p.offset_ms, 1)] for p in report.stretches]
    return rounded


def _read(goal: Path) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Whole lines by what they are about; a last one that was cut off is taken off the file."""
    with output_errors(goal):
        if not goal.exists():
            _check_folder(goal)
            return {}
        data = goal.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
    known: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for number, text in enumerate(whole.splitlines(), 1):
        try:
            line = json.loads(text)
            key = (*(line[name] for name in ("video", "bytes", "changed_ns", "face")), line.get("weights"))
            known.pop(key, None)
            if not line.get("unread"):
                known[key] = line
        except (ValueError, KeyError, TypeError) as error:
            raise OptionError(f"{goal}: line {number} is not a score's; choose another --results") from error
    cut = data[len(whole) :]
    if not (cut.startswith(BEGINNING) or BEGINNING.startswith(cut)):
        raise OptionError(f"{goal}: is not a file of scores; choose another --results")
    if len(whole) < len(data):
        with output_errors(goal):
            os.truncate(goal, len(whole))
    return known


def _check_folder(goal: Path) -> None:
    if not goal.absolute().parent.is_dir():
        raise OutputError(f"{goal} cannot be written: folder {goal.parent} does not exist; make it first")


def _add(goal: Path, line: Mapping[str, Any]) -> None:
    """Append one line, on the disk before anything else is done."""
    # What UTF-8 cannot hold, a file name of another encoding, becomes an escape of JSON.
    text = json.dumps(line, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")
    with output_errors(goal), open(goal, "ab") as file:
        file.write(text + b"\n")
        file.flush()
        os.fsync(file.fileno())
