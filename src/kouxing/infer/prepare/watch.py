"""One chunk of footage -> the face of each shot, frame by frame: points, coefficients, head pose, quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import FROM_MEDIAPIPE, MEDIAPIPE
from kouxing.errors import MediaError
from kouxing.face.coefficients import Regressor
from kouxing.face.crop import crop_matrices
from kouxing.face.frontal import pose
from kouxing.face.landmarker import Landmarker
from kouxing.face.landmarks import ANCHOR_POINTS, JAW_POINTS, LIP_POINTS
from kouxing.face.mesh import MeshTracker
from kouxing.face.picture import Picture
from kouxing.face.shots import Shots
from kouxing.face.square import FACE_POINTS
from kouxing.infer.prepare.frames import chunk_frames
from kouxing.infer.prepare.pieces import divide
from kouxing.infer.prepare.plan import Chunk, Places, Row, Settings
from kouxing.media.aside import keeping, write_arrays
from kouxing.types import Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, HALF_PX

DETAIL_EVERY = 5
"""Sharpness is measured in each so manieth frame."""

KEPT = np.array(LIP_POINTS + ANCHOR_POINTS + JAW_POINTS)


@dataclass(frozen=True)
class Watching:
    """A chunk to look at; ``landmarker`` is MediaPipe's file, or None for our own coefficients."""

    places: Places
    settings: Settings
    chunk: Chunk
    landmarker: Path | None


@dataclass
class Seen:
    """What was seen, T frames from the chunk's first on.

    Attributes:
        found, cut, fresh: ``[T] bool``: a face; a new shot; another picture than the frame before.
        points: ``[T, 69, 2] float32`` in picture pixels: 40 lips, 8 anchors, 21 jaw; NaN without a face.
        box: ``[T, 4] float32``: x0, y0, x1, y1 of the whole mesh.
        blendshapes: ``[T, 51] float16`` as ``arkit.MEDIAPIPE``.
        rotation: ``[T, 3, 3] float32`` as ``frontal.pose``. scale: ``[T] float32``, its eye distances a pixel.
        middle: ``[T, 2] float32``, middle of the steady points.
        detail: ``[T] float32``, NaN where not measured.
        size_px: width and height of the picture.
    """

    found: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    points: Float
    box: Float
    blendshapes: NDArray[np.float16]
    rotation: Float
    scale: Float
    middle: Float
    detail: Float
    size_px: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.found)


def watch(task: Watching) -> Row:
    """Follow the faces of a chunk, keep them as a file, and divide it into clips.

    Returns:
        ``frames``, and ``shots``, ``pieces`` and ``rejects`` as ``pieces.divide`` tells.

    Raises:
        MediaError: the chunk cannot be read.
        OutputError: the file cannot be written.
    """
    chunk = task.chunk
    notes = _Notes(_networks(task.landmarker))
    for frame, fresh in chunk_frames(chunk.media.source.path, chunk.first, chunk.last):
        notes.add(frame, fresh)
    if not notes.found:
        if chunk.number == 0:
            raise MediaError(f"{chunk.media.source.path} has no picture that can be decoded")
        return {"frames": 0, "shots": [], "pieces": [], "rejects": []}
    seen = notes.seen()
    place = task.places.faces(chunk)
    with keeping(place) as part:
        write_arrays(part, vars(seen))
    return {"frames": len(seen), **divide(task.places, task.settings, chunk, seen)}


def load(places: Places, chunk: Chunk) -> Seen:
    """What ``watch`` kept."""
    with np.load(places.faces(chunk), allow_pickle=False) as file:
        return Seen(**{name: file[name] for name in file.files})


def detail(luma: NDArray[Any], anchors: Float) -> float:
    """How sharp the lower face is: fine detail in relation to its contrast, as large as it comes into training.

    Args:
        luma: ``[H, W]`` uint8 or uint16. anchors: ``[8, 2]`` in its pixels.

    Returns:
        Standard deviation of the Laplacian by that of the brightness; a small face, enlarged, is not sharp.
    """
    one = np.ones(1, bool)
    matrix = crop_matrices(anchors[None], one, one, 1.0)[0]
    matrix[1, 2] -= HALF_PX
    size = (CROP_PX, CROP_PX - HALF_PX)
    lower = cv2.warpAffine(luma, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lower = cv2.GaussianBlur(lower.astype(np.float32), (0, 0), 0.8)  # grain is no detail
    return float(cv2.Laplacian(lower, cv2.CV_32F).std() / max(float(lower.std()), 1.0))


@dataclass
class _Networks:
    """Loaded once a process."""

    tracker: MeshTracker
    blank: Any
    regressor: Regressor
    teacher: Landmarker | None


@lru_cache(maxsize=1)
def _networks(landmarker: Path | None) -> _Networks:
    tracker = MeshTracker()
    teacher = None if landmarker is None else Landmarker(landmarker)
    return _Networks(tracker, tracker.state(), Regressor(threads=1), teacher)


@dataclass
class _Notes:
    """What was seen so far. Each shot's largest face is followed anew: who it was before does not matter here."""

    networks: _Networks
    found: list[bool] = field(default_factory=list)
    cut: list[bool] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    mesh: list[Float] = field(default_factory=list)
    told: list[Float] = field(default_factory=list)
    detail: list[float] = field(default_factory=list)
    size_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self._shots = Shots()
        self._last: tuple[Float | None, Float | None] = (None, None)
        self.networks.tracker.restore(self.networks.blank)

    def add(self, frame: VideoFrame, fresh: bool) -> None:
        """The next frame; one that is not fresh shows what the last one showed."""
        cut = False
        if fresh or not self.found:
            picture = Picture(frame)
            cut = self._shots.push(picture)
            self._last, jumped = self._look(frame, picture, cut)
            cut = cut or jumped
        points, told = self._last
        self.found.append(points is not None)
        self.cut.append(cut)
        self.fresh.append(fresh)
        if points is not None:
            self.mesh.append(points)
        if told is not None:
            self.told.append(told)
        measured = points is not None and len(self.found) % DETAIL_EVERY == 1
        sharp = detail(frame.planes[0], points[list(ANCHOR_POINTS), :2]) if measured and points is not None else np.nan
        self.detail.append(sharp)
        self.size_px = (frame.width, frame.height)

    def _look(self, frame: VideoFrame, picture: Picture, cut: bool) -> tuple[tuple[Float | None, Float | None], bool]:
        tracker, teacher = self.networks.tracker, self.networks.teacher
        if cut:
            tracker.restore(self.networks.blank)
        jumped = tracker.push(frame).cut
        points, told = tracker.points, None
        if points is not None and teacher is not None:
            told = teacher.values(picture, points)
            points = points if told is not None else None
        return (points, told), jumped

    def seen(self) -> Seen:
        """All of it as arrays."""
        found = np.array(self.found, bool)
        frames = len(found)

        def spread(rows: NDArray[Any], kind: Any = np.float32) -> NDArray[Any]:
            whole = np.full((frames, *rows.shape[1:]), np.nan, kind)
            whole[found] = rows
            return whole

        mesh = np.stack(self.mesh) if self.mesh else np.zeros((0, 478, 3), np.float32)
        values, rotation, scale, middle = self._read(mesh)
        corners = np.concatenate([mesh[:, :FACE_POINTS, :2].min(1), mesh[:, :FACE_POINTS, :2].max(1)], 1)
        return Seen(
            found=found,
            cut=np.array(self.cut, bool),
            fresh=np.array(self.fresh, bool),
            points=spread(mesh[:, KEPT, :2]),
            box=spread(corners),
            blendshapes=spread(values, np.float16),
            rotation=spread(rotation),
            scale=spread(scale),
            middle=spread(middle),
            detail=np.array(self.detail, np.float32),
            size_px=np.array(self.size_px, np.int64),
        )

    def _read(self, mesh: Float) -> tuple[Float, Float, Float, Float]:
        regressor = self.networks.regressor
        if not len(mesh):
            empty = np.zeros((0, 3, 3), np.float32)
            return np.zeros((0, len(MEDIAPIPE)), np.float32), empty, empty[:, 0, 0], empty[:, 0, :2]
        rotation, scale, before, _ = pose(mesh, regressor.reference)
        values = np.stack(self.told) if self.told else regressor.read(mesh)[0]
        return values[:, list(FROM_MEDIAPIPE)], rotation, scale, before[:, :2]


assert FRAME_HZ % DETAIL_EVERY == 0
