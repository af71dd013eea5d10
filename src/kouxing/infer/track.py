"""Footage -> ARKit's coefficients: follow a face, read its mesh, calibrate to the person, 60 rows a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS
from kouxing.errors import NoFaceError, NoVideoError, OutputError
from kouxing.export.files import check_output, write
from kouxing.face.calibration import Calibration, fit
from kouxing.face.coefficients import Regressor, rotations
from kouxing.face.landmarker import Landmarker, chosen
from kouxing.face.mesh import MeshTracker
from kouxing.face.picture import Picture
from kouxing.face.reader import AHEAD
from kouxing.infer.given import face_number
from kouxing.infer.pipeline import ahead, announced
from kouxing.infer.scan import queue_depth
from kouxing.media.aside import reserved
from kouxing.media.reader import MediaInfo, probe, read_video
from kouxing.types import Bool, CoefficientTrack, Float, VideoFrame
from kouxing.units import COEFFICIENT_HZ

Progress = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total); total is None where it is not known."""

CHUNK = 128
"""Meshes that are read at once, and kept until then."""

OWN, MEDIAPIPE = "kouxing", "mediapipe"


@dataclass(frozen=True)
class TrackReport:
    """What came out.

    Attributes:
        out: the file written.
        seconds: from the first to the last picture.
        frames: pictures looked at. found_frames: those that show the face; between them values are interpolated.
        rows: rows written, at 60 a second.
        method: ``mediapipe`` (face_landmarker.task) or ``kouxing`` (our own network).
        fps: pictures per second of work.
        warnings: what the user should know, a line each.
    """

    out: Path
    seconds: float
    frames: int
    found_frames: int
    rows: int
    method: str
    fps: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Tracked:
    """A face's coefficients, picture by picture.

    Attributes:
        track: a row a picture, at the pictures' own times; calibrated, unless that was not wanted.
        found: ``[T] bool``; rows that are False are interpolated.
        gap: ``[T] float32``, inner-lip gap over face width; interpolated likewise.
        calibration: what is particular to the person; None where it was not wanted.
    """

    track: CoefficientTrack
    found: Bool
    gap: Float
    calibration: Calibration | None


def track(
    video: str | Path,
    out: str | Path,
    *,
    landmarker: str | Path | None = None,
    face_index: int = 0,
    calibrate: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrackReport:
    """Write a face's coefficients, 60 rows a second, row 0 at the video's start.

    Memory holds a few hundred bytes a picture and no pictures. The file appears at once when it is whole.

    Args:
        video: any file with a picture.
        out: ends in ``.csv`` or ``.json``.
        landmarker: MediaPipe's ``face_landmarker.task``, else ``KOUXING_LANDMARKER``, else our own network.
        face_index: which face, 0 = the largest of the first frame that shows any.
        calibrate: take the person's rest off and set closed lips right (``face.calibration``).
        overwrite: replace ``out`` if it is there.
        progress: called with ("track", pictures done, total or None).

    Raises:
        OptionError: an option is out of range, or the landmarker file is not one.
        MediaError: the video cannot be read; NoVideoError where it has no picture.
        NoFaceError: it does not show the face.
        OutputError: ``out`` cannot be written or is there already.
        WeightError: weights are missing or damaged.
    """
    began = time.monotonic()
    source, goal = Path(video), Path(out)
    check_output(goal, overwrite)
    if os.path.exists(goal) and os.path.exists(source) and goal.samefile(source):
        raise OutputError(f"{goal}: is the input; choose another output")
    model = chosen(None if landmarker is None else Path(landmarker))
    with reserved(goal):
        seen = coefficients(source, landmarker=model, face_index=face_index, calibrate=calibrate, progress=progress)
        steady = seen.track.at(Fraction(COEFFICIENT_HZ))
        write(steady, goal)
    found = int(seen.found.sum())
    warnings = []
    if found < len(seen.track):
        missing = len(seen.track) - found
        warnings.append(f"{missing} of {len(seen.track)} pictures do not show the face; values there are interpolated")
    return TrackReport(
        out=goal,
        seconds=float(seen.track.time(len(seen.track) - 1)),
        frames=len(seen.track),
        found_frames=found,
        rows=len(steady),
        method=OWN if model is None else MEDIAPIPE,
        fps=len(seen.track) / max(time.monotonic() - began, 1e-6),
        warnings=tuple(warnings),
    )


def coefficients(
    video: Path,
    *,
    landmarker: Path | None = None,
    face_index: int = 0,
    calibrate: bool = True,
    progress: Progress | None = None,
) -> Tracked:
    """A face's coefficients at the pictures' own times; arguments and errors as for ``track``."""
    face_index = face_number(face_index)
    info = probe(video)
    if not info.has_video:
        raise NoVideoError(f"{video}: has no picture; give a video of a face")
    with ExitStack() as stack:
        teacher = None if landmarker is None else stack.enter_context(Landmarker(landmarker))
        follower = stack.enter_context(MeshTracker(face_index))
        rows = _Rows(Regressor(), teacher)
        frames = stack.enter_context(closing(ahead(read_video(video), queue_depth(_bytes(info)))))
        total = _total(info)
        time_base = Fraction(1)
        for done, frame in enumerate(announced(frames, follower.expect, AHEAD), 1):
            follower.push(frame)
            time_base = frame.time_base
            rows.add(frame, follower.points)
            if progress is not None:
                progress("track", done, None if total is None else max(total, done))
        rows.finish()
        if progress is not None and rows.count:
            progress("track", rows.count, rows.count)
        if not rows.found.any():
            people = follower.faces
            known = f"it shows {people} of them" if people else "it shows none"
            raise NoFaceError(f"{video}: has no face {face_index} ({known}); give footage of a face, or another --face")
    return _joined(rows, time_base, info, calibrate)


def _total(info: MediaInfo) -> int | None:
    if info.is_picture:
        return 1
    return round(info.seconds * info.rate) if info.seconds and info.rate else None


def _bytes(info: MediaInfo) -> int:
    return info.width * info.height * 3


class _Rows:
    """Values of the pictures so far, read in chunks."""

    def __init__(self, regressor: Regressor, teacher: Landmarker | None) -> None:
        self._regressor, self._teacher = regressor, teacher
        self._waiting: list[Float] = []
        self._told: list[Float] = []
        self._values: list[Float] = []
        self._heads: list[Float] = []
        self._gaps: list[Float] = []
        self._found: list[bool] = []
        self._pts: list[int] = []

    @property
    def count(self) -> int:
        return len(self._pts)

    @property
    def found(self) -> Bool:
        return np.array(self._found, bool)

    @property
    def pts(self) -> NDArray[np.int64]:
        return np.array(self._pts, np.int64)

    def add(self, frame: VideoFrame, points: Float | None) -> None:
        """The next picture and its mesh ``[478, 3]``, or None without a face."""
        told = None
        if points is not None and self._teacher is not None:
            told = self._teacher.values(Picture(frame), points)
            points = points if told is not None else None
        self._pts.append(frame.pts)
        self._found.append(points is not None)
        if points is None:
            return
        self._waiting.append(points)
        if told is not None:
            self._told.append(told)
        if len(self._waiting) == CHUNK:
            self._read()

    def finish(self) -> None:
        """Read what still waits."""
        if self._waiting:
            self._read()

    def table(self) -> tuple[Float, Float, Float]:
        """Values ``[F, 52]``, heads ``[F, 3]`` and gaps ``[F]`` of the pictures with a face."""
        return np.concatenate(self._values), np.concatenate(self._heads), np.concatenate(self._gaps)

    def _read(self) -> None:
        values, heads, gaps = self._regressor.read(np.stack(self._waiting))
        self._values.append(np.stack(self._told) if self._teacher is not None else values)
        self._heads.append(heads)
        self._gaps.append(gaps)
        self._waiting, self._told = [], []


def _joined(rows: _Rows, time_base: Fraction, info: MediaInfo, calibrate: bool) -> Tracked:
    values, heads, gap = rows.table()
    person = fit(values, gap) if calibrate else None
    if person is not None:
        values = person.apply(values, gap)
    turns = rotations(values, np.unwrap(heads, axis=0))
    found, pts = rows.found, rows.pts
    whole = _filled(np.column_stack([values, turns, gap]), pts, found)
    cut = len(COEFFICIENTS)
    track = CoefficientTrack(
        np.clip(whole[:, :cut], 0, 1),
        info.rate or Fraction(COEFFICIENT_HZ),
        whole[:, cut:-1],
        pts,
        time_base,
    )
    return Tracked(track, found, whole[:, -1], person)


def _filled(rows: Float, pts: NDArray[np.int64], found: Bool) -> Float:
    """All pictures' rows: between those found linear in time, before and after as the nearest."""
    known = pts[found]
    return np.stack([np.interp(pts, known, column) for column in rows.T], 1).astype(np.float32)
