"""Stored face tracks of a data set: ``tracks/<id>.npz`` with lips and anchors in clip pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from kouxing.data.manifest import Clip
from kouxing.errors import NO_ARRAYS, DataError
from kouxing.types import ANCHORS, JAW, LIPS, FaceTrack


def stored_track(data: Path, clip: Clip) -> FaceTrack | None:
    """The clip's stored track, if it is whole (with ``jaw``), as ours are.

    Others come from other trackers: points and times that differ a little from what ``dub`` sees cost accuracy.
    """
    if not track_path(data, clip).exists():
        return None
    track = read_track(data, clip)
    return track if np.isfinite(track.jaw).any() else None


def read_by_us(data: Path) -> bool:
    """Whether the coefficients in a data set's tracks are what our own network read, as `kouxing prepare` says."""
    try:
        told = json.loads((data / "prepare" / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("landmarker") == ""


def track_path(data: Path, clip: Clip) -> Path:
    """Where a clip's track lies."""
    return data / "tracks" / f"{clip.id}.npz"


def read_track(data: Path, clip: Clip) -> FaceTrack:
    """Read a clip's track.

    Returns:
        The track; ``jaw`` is NaN where the file has none, and a clip counts as one shot.

    Raises:
        DataError: missing, damaged, or of other shapes.
    """
    path = track_path(data, clip)
    try:
        with np.load(path, allow_pickle=False) as file:
            lips, anchors = file["lips"].astype(np.float32), file["anchors"].astype(np.float32)
            found = file["found"].astype(bool)
            frames = len(found)
            jaw = file["jaw"].astype(np.float32) if "jaw" in file else np.full((frames, JAW, 2), np.nan, np.float32)
    except NO_ARRAYS as error:
        raise DataError(f"{path}: not a readable face track ({error})") from error
    shapes = (lips.shape, anchors.shape, jaw.shape, found.shape)
    if shapes != ((frames, LIPS, 2), (frames, ANCHORS, 2), (frames, JAW, 2), (frames,)):
        told = f"lips {lips.shape}, anchors {anchors.shape}, jaw {jaw.shape} and found {found.shape}"
        raise DataError(f"{path}: {told} do not fit {frames} frames")
    return FaceTrack(lips, anchors, jaw, found, np.zeros(frames, bool))
