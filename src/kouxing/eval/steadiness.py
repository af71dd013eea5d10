"""What a dub must leave still: the lower face while nobody speaks, nose and cheeks at any time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kouxing.eval import metrics
from kouxing.eval.redub import Scene
from kouxing.face.landmarks import NOSE
from kouxing.types import Bool, FaceTrack, Float, VideoFrame

EDGE = 3
"""Frames at either end of a pause that do not count: mouths are still closing, or open ahead of the voice."""
STILL = 0.01
"""The head counts as still where its rigid points move by less than this share of the face's width a frame."""
CHEEKS = (0, 1, 2, 18, 19, 20)
"""Places in ``JAW_POINTS`` from the ears down to the height of the mouth."""


def quiet_pairs(scene: Scene, silent: Bool) -> list[int]:
    """First frames of the pairs that flicker is measured on: settled silence, one shot, a face, a still head.

    Args:
        scene: the real clip.
        silent: ``[L]``, a value a frame of its speech.
    """
    frames = min(len(scene), len(silent))
    talking = ~silent[:frames]
    # The clip's own ends are no ends of a pause.
    near = np.convolve(talking, np.ones(2 * EDGE + 1), "same")[:frames] > 0.5
    moved = _moved(scene.track)
    return [
        at
        for at in range(frames - 1)
        if not near[at] and not near[at + 1] and scene.present(at) and scene.present(at + 1)
        and not scene.track.cut[at + 1] and moved[at] < STILL
    ]  # fmt: skip


def _moved(track: FaceTrack) -> Float:
    """``[T - 1]``: movement of the rigid points to the next frame, in face widths; NaN where a face is missing."""
    rigid = track.anchors[:, list(metrics.RIGID)]
    way = np.linalg.norm(np.diff(rigid, axis=0), axis=-1).mean(-1)
    return np.asarray(way / metrics.face_width(track)[:-1], np.float32)


def flicker(scene: Scene, frames: Sequence[VideoFrame], pairs: Sequence[int], inside: dict[int, Bool]) -> float:
    """Mean change of the lower face's luma from a frame to the next, 0..255.

    Args:
        scene: the real clip.
        frames: its own frames, or a dub of them.
        pairs: from ``quiet_pairs``.
        inside: pair -> where the mask paints, ``[256, 256]``.

    Returns:
        NaN where there is no pair.
    """
    changes = []
    for at in pairs:
        # Both through the same crop: resampling is the same, and the head is still.
        one, other = (metrics.luma(scene.crop(frame, at)) for frame in (frames[at], frames[at + 1]))
        if inside[at].any():
            changes.append(float(np.abs(other - one)[inside[at]].mean()))
    return float(np.mean(changes)) if changes else float("nan")


def drift(made: FaceTrack, real: FaceTrack) -> Float:
    """``[T] float32``: mean distance of nose tip and cheek points of a dub from the real ones, in face widths.

    Nothing is aligned: a face that moves as a whole drifts as well. NaN where a face is missing. The shorter of both is
    measured.
    """
    frames = min(len(made), len(real))
    ways = [
        np.linalg.norm(made.anchors[:frames, [NOSE]] - real.anchors[:frames, [NOSE]], axis=-1),
        np.linalg.norm(made.jaw[:frames, list(CHEEKS)] - real.jaw[:frames, list(CHEEKS)], axis=-1),
    ]
    distance = np.concatenate(ways, 1).mean(1) / metrics.face_width(real)[:frames]
    both = made.found[:frames] & real.found[:frames]
    return np.where(both, distance, np.nan).astype(np.float32)
