"""Are lips and sound of a video in step (methods.md section 3, in use): by how much off, how surely, and over time."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from kouxing.errors import NoFaceError, NoSoundError, NoVideoError, OptionError, OutputError, UnsureError
from kouxing.face.offset import REACH, Offset
from kouxing.infer.given import face_number
from kouxing.infer.score_look import Looked, Parts, Progress, look, shipped
from kouxing.infer.score_report import FaceScore, ScoreReport
from kouxing.infer.score_sure import SURE, Ruler, is_sure
from kouxing.infer.score_time import DRIFT, Stretch, drift, moments, speaking, stretches
from kouxing.media.aside import is_there, output_errors, reserved
from kouxing.media.reader import MediaInfo, probe
from kouxing.media.remux import check_copy, check_target, copy_file, move_sound
from kouxing.types import Bool
from kouxing.units import FRAME_HZ

IN_STEP = 0.9
"""Frames (36 ms) up to which sound and lips are in step: a whole frame is told, less is not sure (the chance beside an
offset is that of one frame), and viewers notice no less than 45 ms (ITU-R BT.1359)."""

AT_EDGE = 1.0
"""An offset so near to the largest one looked for may be larger still."""

IN_STEP_WORDS, LATE, EARLY, VARIES = "in step", "sound late", "sound early", "varies"


def score(
    video: str | Path,
    *,
    face: int | None = None,
    fix: str | Path | None = None,
    plot: str | Path | None = None,
    overwrite: bool = False,
    parts: Parts | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Tell by how much a video's sound is off from its lips; on request put it right.

    Memory does not grow with the video, but for some hundred bytes a second.

    Args:
        video: any video with sound.
        face: look at this one only, 0 = the largest of the first frame that shows any; else at up to four.
        fix: write the video with its sound moved; pictures are copied as they are. Ends as ``video`` does.
        plot: a PNG of similarities, offset over time and faces.
        overwrite: replace outputs that are there.
        parts: other tracker, discriminator and speech encoder than the shipped ones.
        progress: called with ("look", pictures done, total or None); with several faces also ("look again", ...).

    Raises:
        MediaError: the video cannot be read or, with ``fix``, not be copied; NoVideoError, NoSoundError: it lacks one.
        NoFaceError: no face, or not the one asked for.
        UnsureError: the offset cannot be told: too short, silent, or nobody seen follows the sound; with ``fix`` also
            where no one offset holds for the whole video.
        OptionError: an option is out of range. OutputError: an output cannot be written. WeightError: weights are
            missing or damaged.
    """
    began = time.monotonic()
    face = None if face is None else face_number(face)
    source = Path(video)
    goals = [Path(goal) for goal in (fix, plot) if goal is not None]
    _check(source, goals, overwrite)
    if plot is not None and Path(plot).suffix.lower() != ".png":
        raise OptionError(f"--plot {plot}: end it in .png")
    if fix is not None:
        check_target(source, Path(fix))
    info = _probed(source)
    if fix is not None:
        check_copy(source, Path(fix))
    parts = parts or shipped()
    with reserved(*goals):
        seen = look(info, face, parts, progress)
        report = judged(source, seen, Ruler(parts.judge.calibration))
        report = replace(report, speed_x=report.seconds / max(time.monotonic() - began, 1e-6))
        if plot is not None:
            from kouxing.infer.score_plot import draw

            draw(Path(plot), report, seen)
        return report if fix is None else _fixed(report, Path(fix))


def judged(source: Path, seen: Looked, ruler: Ruler) -> ScoreReport:
    """What was seen and heard as a report; ``speed_x`` is 0.

    Raises:
        NoFaceError, UnsureError: as for ``score``.
    """
    found = {number: ruler.measure(one.sim, seen.spoken, seen.shapes(number)) for number, one in seen.faces.items()}
    best = _clearest(source, seen, found)
    told, one = found[best], seen.faces[best]
    shapes = seen.shapes(best)
    parts = stretches(one.sim, seen.spoken, one.cuts, seen.late, ruler, shapes)
    seconds = len(one.sim) / FRAME_HZ
    if len(parts) < 2:
        _believed(source, told)
        frames = told.frames - seen.late
        parts = (Stretch(0.0, seconds, frames, _ms(frames), told.probability),)
    over_time = moments(one.sim, seen.spoken, seen.late, ruler, shapes)
    moved = drift(over_time, seconds)
    who = speaking([one.sim for one in seen.faces.values()], seen.spoken, told.frames)
    warnings = []
    if seen.people > len(seen.faces) and len(seen.faces) > 1:
        warnings.append(f"{seen.people} faces are about, {len(seen.faces)} were looked at; --face picks another one")
    varies = len(parts) > 1 or (moved is not None and abs(moved) >= DRIFT)
    if varies:
        warnings.append(_told_varying(parts, moved))
    offset = None if varies else told.frames - seen.late
    faces = tuple(
        _face(number, one.seen, found[number], seen.late, who[place])
        for place, (number, one) in enumerate(seen.faces.items())
    )
    return ScoreReport(
        video=source,
        seconds=seconds,
        verdict=VARIES if offset is None else verdict(offset),
        offset_frames=offset,
        offset_ms=None if offset is None else _ms(offset),
        probability=min(part.probability for part in parts) if len(parts) > 1 else told.probability,
        lse_c=told.confidence,
        lse_d=told.distance,
        speaker=best,
        drift_frames=moved,
        stretches=parts,
        moments=over_time,
        faces=faces,
        fixed=None,
        moved_ms=None,
        speed_x=0.0,
        warnings=tuple(warnings),
    )


def verdict(offset_frames: float) -> str:
    """One offset in words."""
    if abs(offset_frames) <= IN_STEP:
        return IN_STEP_WORDS
    return LATE if offset_frames > 0 else EARLY


def _ms(frames: float) -> float:
    return 1000 * frames / FRAME_HZ


def _check(source: Path, goals: list[Path], overwrite: bool) -> None:
    for number, goal in enumerate(goals):
        if goal in goals[:number]:
            raise OptionError(f"{goal}: is asked for twice; give two names")
        with output_errors(goal):
            if is_there(goal):
                if os.path.exists(goal) and os.path.exists(source) and goal.samefile(source):
                    raise OutputError(f"{goal}: is the input; choose another output")
                if not overwrite:
                    raise OutputError(f"{goal}: is there already; choose another output or use --force")
            if not goal.absolute().parent.is_dir():
                raise OutputError(f"{goal} cannot be written: folder {goal.parent} does not exist; make it first")


def _probed(source: Path) -> MediaInfo:
    info = probe(source)
    if not info.has_video or info.is_picture:
        raise NoVideoError(f"{source}: has no moving picture; give a video of a face")
    if not info.has_sound:
        raise NoSoundError(f"{source}: has no sound; give a video with a sound track")
    return info


def _clearest(source: Path, seen: Looked, found: dict[int, Offset]) -> int:
    """The face that tells the offset most surely."""
    if not any(one.seen.any() for one in seen.faces.values()):
        wanted = next(iter(seen.faces))
        known = f"no face {wanted} (it shows {seen.people})" if wanted and seen.people else "no face"
        raise NoFaceError(f"{source}: has {known}; give footage of a face that speaks, or another --face")
    told = [number for number, one in found.items() if not one.abstained]
    if not told:
        raise UnsureError(f"{source}: {_too_little(seen)}; the offset cannot be told")
    # By evidence where all are sure to the last digit.
    return max(told, key=lambda number: (round(found[number].probability, 3), found[number].confidence))


def _believed(source: Path, told: Offset) -> None:
    """Refuse what is not sure, and what may lie farther away than was looked."""
    if not is_sure(told):
        raise UnsureError(
            f"{source}: the lips that are seen do not clearly follow the sound (sure to {told.probability:.0%}, "
            f"{SURE:.0%} is needed); give a longer part, or another --face"
        )
    if abs(told.frames) > REACH - AT_EDGE:
        raise UnsureError(
            f"{source}: the offset is at the end of what is looked for ({_ms(REACH):.0f} ms) or beyond; "
            "move the sound roughly first"
        )


def _too_little(seen: Looked) -> str:
    """Why there are too few rows."""
    frames = len(seen.spoken)
    most = max((int(one.seen.sum()) for one in seen.faces.values()), default=0)
    if frames < LEAST_S * FRAME_HZ:
        return f"lasts {frames / FRAME_HZ:.2f} s, about {LEAST_S:.1f} s are needed"
    if not seen.spoken.any():
        return "nobody speaks, its sound is silent"
    if most < LEAST_S * FRAME_HZ:
        return f"shows a face for {most / FRAME_HZ:.2f} s, about {LEAST_S:.1f} s are needed"
    return "has no second in which a face is seen while somebody speaks"


LEAST_S = 1.2
"""What an estimate needs about: windows and lags leave 0.5 s of it."""


def _told_varying(parts: tuple[Stretch, ...], moved: float | None) -> str:
    if len(parts) > 1:
        told = ", ".join(f"{part.offset_ms:+.0f} ms from {part.start_s:.1f} s" for part in parts[:6])
        return f"the offset is not the same throughout: {told}{', ...' if len(parts) > 6 else ''}"
    return f"the offset drifts by {_ms(moved or 0.0):+.0f} ms from start to end"


def _face(number: int, seen: Bool, told: Offset, late: float, speaks: list[tuple[float, float]]) -> FaceScore:
    known = not told.abstained
    return FaceScore(
        face=number,
        seen_s=float(seen.sum()) / FRAME_HZ,
        offset_frames=told.frames - late if is_sure(told) else None,
        probability=told.probability if known else 0.0,
        confidence=told.confidence if known else None,
        lse_d=told.distance if known else None,
        speaking=tuple(speaks),
        curve=tuple(float(value) for value in told.curve) if known else (),
    )


def _fixed(report: ScoreReport, out: Path) -> ScoreReport:
    """Write the video with its sound moved; as it is where it is in step."""
    source = report.video
    if report.offset_ms is None:
        raise UnsureError(f"{source}: {report.warnings[-1]}; cut it there and mend the parts one by one")
    if report.verdict == IN_STEP_WORDS:
        copy_file(source, out)
        note = f"is in step already ({report.offset_ms:+.0f} ms); {out} is an unchanged copy"
        return replace(report, fixed=out, moved_ms=0.0, warnings=(*report.warnings, note))
    earlier = Fraction(round(report.offset_ms), 1000)
    moved = move_sound(source, out, earlier)
    return replace(report, fixed=out, moved_ms=-float(1000 * earlier), warnings=(*report.warnings, *moved.notes))
