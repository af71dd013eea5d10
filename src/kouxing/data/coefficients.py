"""Pairs of (our mesh, MediaPipe's coefficients) for the coefficient reader.

Meshes are those of our own tracker, since they are what the reader gets in use. The stored coefficients come from a
tracker that smooths, and lag behind by a part of a frame that differs from clip to clip: the inner-lip gap, which both
know, tells by how much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from kouxing.arkit import MEDIAPIPE, mirrored
from kouxing.data.footage import cache_folder
from kouxing.data.manifest import Clip, read_manifest
from kouxing.data.tracks import read_track, track_path
from kouxing.errors import NO_ARRAYS, DataError, MediaError
from kouxing.face.coefficients import POINTS, aperture
from kouxing.face.frontal import STEADY, average, frontal
from kouxing.face.geometry import gap
from kouxing.face.graphs import MESH_POINTS
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT
from kouxing.face.mesh import MeshTracker
from kouxing.media.aside import keeping
from kouxing.media.reader import read_video
from kouxing.types import Float

Batch = dict[str, Tensor]

LEAST_FRAMES = 10
LAGS = np.arange(0.0, 1.01, 0.1)
"""Frames by which stored coefficients may be late."""
USUAL_LAG = 0.4
LIKE = 0.5
"""Correlation of the two trackers' gaps below which a clip's lag is the usual one: too still, or too noisy."""


CROOKED = 0.15
"""Most that a mirrored point may lie from its partner, in widths of the face."""


@dataclass(frozen=True)
class Pairs:
    """One clip: ``shape [T, 146, 3]`` eye distances without pose, ``target [T, 51]`` as ``arkit.MEDIAPIPE``."""

    clip: Clip
    shape: Float
    target: Float
    lag: float

    def __len__(self) -> int:
        return len(self.shape)


@dataclass(frozen=True)
class Meshes:
    """One clip's meshes ``[T, 478, 3]`` (NaN where no face is) and stored coefficients ``[T, 51]``."""

    clip: Clip
    points: Float
    target: Float
    lag: float


def mesh_folder(data: Path) -> Path:
    """Where meshes of ``data`` are kept."""
    footage = cache_folder(data)
    return footage.parent.parent / "meshes" / footage.name


def load_meshes(
    data: Path, split: str, folder: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Meshes]:
    """All usable clips of a split; meshes that ``folder`` lacks are tracked now and kept there.

    Args:
        data: data folder whose tracks hold ``blendshapes``.
        split: which split.
        folder: ``<id>.npy`` ``[T, 478, 3]``; the cache's by default.
        progress: called with (clips done, clips in all).

    Raises:
        DataError: not one usable clip, or a damaged file.
    """
    folder = folder or mesh_folder(data)
    clips = read_manifest(data, split)
    ready = []
    for done, clip in enumerate(clips, 1):
        target = _stored(data, clip)
        if target is not None:
            points = _mesh(data, clip, folder)
            rows = min(len(points), len(target))
            points, target = points[:rows], target[:rows]
            if np.isfinite(points).all((1, 2)).sum() >= LEAST_FRAMES:
                ready.append(Meshes(clip, points, target, _lag(data, clip, points)))
        if progress is not None:
            progress(done, len(clips))
    if not ready:
        raise DataError(f"{data}: no clip of split {split!r} has a face and stored blendshapes in tracks/")
    return ready


def _stored(data: Path, clip: Clip) -> Float | None:
    path = track_path(data, clip)
    try:
        with np.load(path, allow_pickle=False) as file:
            if "blendshapes" not in file:
                return None
            target = file["blendshapes"].astype(np.float32)
    except NO_ARRAYS as error:
        raise DataError(f"{path}: not a readable face track ({error})") from error
    if target.ndim != 2 or target.shape[1] != len(MEDIAPIPE):
        raise DataError(f"{path}: blendshapes {target.shape}, not [T, {len(MEDIAPIPE)}]")
    return target


def _mesh(data: Path, clip: Clip, folder: Path) -> Float:
    path = folder / f"{clip.id}.npy"
    if not path.exists():
        tracked = _tracked(data, clip).astype(np.float16)
        with keeping(path, shared=True) as part:
            np.save(part, tracked)
    try:
        points = np.load(path, allow_pickle=False).astype(np.float32)
    except NO_ARRAYS as error:
        raise DataError(f"{path}: not a readable mesh ({error}); remove it") from error
    if points.ndim != 3 or points.shape[1:] != (MESH_POINTS, 3):
        raise DataError(f"{path}: meshes {points.shape}, not [T, {MESH_POINTS}, 3]; remove it")
    return points


def _tracked(data: Path, clip: Clip) -> Float:
    nothing = np.full((MESH_POINTS, 3), np.nan, np.float32)
    rows = []
    try:
        with MeshTracker() as tracker:
            for frame in read_video(data / "clips" / f"{clip.id}.mp4"):
                tracker.push(frame)
                rows.append(nothing if tracker.points is None else tracker.points)
    except MediaError:
        return np.zeros((0, MESH_POINTS, 3), np.float32)
    return np.stack(rows) if rows else np.zeros((0, MESH_POINTS, 3), np.float32)


def _lag(data: Path, clip: Clip, points: Float) -> float:
    """By how many frames the stored track is behind the mesh."""
    track = read_track(data, clip)
    rows = min(len(track), len(points))
    width = np.linalg.norm(track.anchors[:rows, EDGE_LEFT] - track.anchors[:rows, EDGE_RIGHT], axis=-1)
    stored = gap(track.lips[:rows]) / np.maximum(width, 1e-6)
    seen = aperture(points[:rows, list(POINTS)])
    good = np.isfinite(stored) & np.isfinite(seen) & track.found[:rows]
    if good.sum() < LEAST_FRAMES:
        return USUAL_LAG
    frames = np.arange(rows)
    stored, seen = (np.interp(frames, frames[good], values[good]) for values in (stored, seen))
    likeness = []
    for lag in LAGS:
        later = np.interp(frames + lag, frames, stored)
        both = np.corrcoef(seen[:-1], later[:-1])[0, 1] if min(seen[:-1].std(), later[:-1].std()) > 0 else 0.0
        likeness.append(float(both))
    best = int(np.argmax(likeness))
    return float(LAGS[best]) if likeness[best] >= LIKE else USUAL_LAG


def average_face(clips: list[Meshes]) -> Float:
    """Steady points ``[30, 3]`` of the average of all speakers; each counts once."""
    people: dict[str, list[Float]] = {}
    for one in clips:
        whole = np.isfinite(one.points).all((1, 2))
        people.setdefault(one.clip.speaker, []).append(one.points[whole][:, list(STEADY)].mean(0))
    return average(np.stack([np.mean(shapes, 0) for shapes in people.values()]))


def pairs(clips: list[Meshes], reference: Float) -> list[Pairs]:
    """Frames with a face, coefficients moved to the mesh's time."""
    made = []
    for one in clips:
        frames = np.arange(len(one.points))
        rows = np.isfinite(one.points).all((1, 2)) & np.isfinite(one.target).all(1)
        # Beyond the end nothing is known of what comes late.
        rows &= frames + one.lag <= len(frames) - 1
        known = np.isfinite(one.target).all(1)
        if rows.sum() < LEAST_FRAMES:
            continue
        late = (frames + one.lag)[rows]
        target = np.stack([np.interp(late, frames[known], column[known]) for column in one.target.T], 1)
        shape, _ = frontal(one.points[rows], reference, POINTS)
        made.append(Pairs(one.clip, shape, target.astype(np.float32), one.lag))
    return made


def mirror_places(shape: Float) -> np.ndarray:
    """For each of the points its partner on the face's other side; ``shape`` ``[146, 3]`` is the average face.

    Raises:
        DataError: the shape is so crooked that partners are not mutual.
    """
    flipped = shape * np.array([-1, 1, 1], np.float32)
    middle = (shape[:, 0].max() + shape[:, 0].min()) / 2
    flipped[:, 0] += 2 * middle
    away = np.linalg.norm(flipped[:, None] - shape[None], axis=-1)
    partner = linear_sum_assignment(away + away.T)[1]
    places = np.arange(len(shape))
    crooked = away[places, partner].max() > CROOKED * float(np.ptp(shape[:, 0]))
    if crooked or not np.array_equal(partner[partner], places):
        raise DataError("the average face is not symmetric enough to be mirrored; use more clips")
    return np.asarray(partner)


MIRRORED_NAMES = np.array([MEDIAPIPE.index(mirrored(name)) for name in MEDIAPIPE])


class PointBatches:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        clips: what to draw from.
        shares: ``[clips]``, how often each is drawn.
        batch: frames per batch.
        seed: source of chance.
    """

    def __init__(self, clips: list[Pairs], shares: np.ndarray, batch: int, seed: int) -> None:
        self._clips, self._shares, self._batch, self._seed = clips, shares, batch, seed
        mean = np.mean([clip.shape.mean(0) for clip in clips], 0)
        self._partner = mirror_places(mean)

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: points ``[B, 146, 3]``, target ``[B, 51]``."""
        rng = np.random.default_rng([self._seed, number])
        drawn = rng.choice(len(self._clips), self._batch, p=self._shares)
        rows = [int(rng.integers(len(self._clips[i]))) for i in drawn]
        points = np.stack([self._clips[i].shape[row] for i, row in zip(drawn, rows, strict=True)])
        target = np.stack([self._clips[i].target[row] for i, row in zip(drawn, rows, strict=True)])
        flip = rng.random(self._batch) < 0.5
        points[flip] = points[flip][:, self._partner] * np.array([-1, 1, 1], np.float32)
        target[flip] = target[flip][:, MIRRORED_NAMES]
        return {"points": torch.from_numpy(_disturbed(points, rng)), "target": torch.from_numpy(target)}


def _disturbed(points: Float, rng: np.random.Generator) -> Float:
    """What is left of pose, size and place after turning faces to the front, and the tracker's noise."""
    count = len(points)
    x, y, z = rng.normal(0, 0.03, (3, count))
    turn = np.zeros((count, 3, 3))
    turn[:, 0, 1], turn[:, 0, 2], turn[:, 1, 2] = -z, y, -x
    turn[:, 1, 0], turn[:, 2, 0], turn[:, 2, 1] = z, -y, x
    scale = np.exp(rng.normal(0, 0.01, (count, 1, 1)))
    moved = points @ (np.eye(3) + turn).transpose(0, 2, 1) * scale + rng.normal(0, 0.005, (count, 1, 3))
    return (moved + rng.normal(0, 0.002, points.shape)).astype(np.float32)
