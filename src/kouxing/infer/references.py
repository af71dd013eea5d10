"""Reference choice (methods.md section 4): a fixed set of the clip's frames that shows the mouth closed, between, and wide.

Same as in training: of the same clip, near in head pose, spread over lip opening, so that teeth look natural and stay
the same from frame to frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.face import geometry
from kouxing.face.crop import apply
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, NOSE
from kouxing.types import Bool, FaceTrack, Float
from kouxing.units import CROP_PX, HALF_PX

REFERENCES = 3

POSE_SHARE = 0.5
"""Of the frames the share nearest to the median head pose is considered,"""
SHARP_SHARE = 0.6
"""and of these, those at least this share as sharp as the sharp ones (their 90th percentile)."""

OPENINGS = (0.02, 0.60, 0.98)
"""Where between the smallest and the widest lip opening (as ranks) the references lie: closed, between, teeth visible."""


def head_pose(anchors: Float) -> Float:
    """Where the nose stands between the eyes, from points that speech does not move.

    Args:
        anchors: ``[T, 8, 2]``.

    Returns:
        ``[T, 3] float32``: turn (nose beside the eyes' middle), nod (nose below it), both in eye distances of the upright
        face, and roll in radians.
    """
    right, left = anchors[:, 0:2].mean(1), anchors[:, 2:4].mean(1)
    line = left - right
    length = np.maximum(np.hypot(line[:, 0], line[:, 1]), 1e-6)
    roll = np.arctan2(line[:, 1], line[:, 0])
    nose = anchors[:, NOSE] - (right + left) / 2
    turn = (nose[:, 0] * line[:, 0] + nose[:, 1] * line[:, 1]) / length**2
    nod = (nose[:, 1] * line[:, 0] - nose[:, 0] * line[:, 1]) / length**2
    return np.stack([turn, nod, roll], 1).astype(np.float32)


def face_width(anchors: Float) -> Float:
    """Distance of the face's edges, ``[T]`` of anchors ``[T, 8, 2]``, in their unit."""
    return np.asarray(np.linalg.norm(anchors[:, EDGE_LEFT] - anchors[:, EDGE_RIGHT], axis=-1), np.float32)


def opening(track: FaceTrack) -> Float:
    """Inner-lip gap in face widths, ``[T] float32``; NaN where no face was found."""
    return np.asarray(geometry.gap(track.lips) / np.maximum(face_width(track.anchors), 1e-6), np.float32)


def sharpness(luma: NDArray[np.generic], matrix: Float) -> float:
    """How much fine detail the lower face shows: standard deviation of the Laplacian.

    Args:
        luma: ``[H, W]`` uint8 or uint16.
        matrix: ``[2, 3]``: frame pixels -> crop pixels.

    Returns:
        0 for a flat picture; only comparable within one clip.
    """
    shifted = matrix.copy()
    shifted[1, 2] -= HALF_PX
    size = (CROP_PX, CROP_PX - HALF_PX)
    lower = cv2.warpAffine(luma, shifted, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.Laplacian(lower, cv2.CV_32F).std())


def choose(track: FaceTrack, usable: Bool, sharp: Float) -> list[int]:
    """The reference frames of a clip.

    Args:
        track: the followed face, ``[T]`` frames.
        usable: ``[T]``: frames with face and crop.
        sharp: ``[T]`` from ``sharpness``.

    Returns:
        ``REFERENCES`` frame indices from closed to wide; one may come twice in a very short clip.

    Raises:
        ValueError: no frame is usable.
    """
    frames = np.flatnonzero(usable & track.found)
    if len(frames) == 0:
        raise ValueError("no usable frame to choose references from")
    pose = head_pose(track.anchors[frames])
    off = np.linalg.norm((pose - np.median(pose, 0)) * np.array([1.0, 1.0, 0.5]), axis=1)
    frames = np.sort(frames[np.argsort(off, kind="stable")[: _enough(len(frames) * POSE_SHARE)]])
    frames = frames[sharp[frames] >= SHARP_SHARE * np.percentile(sharp[frames], 90)]
    ranked = frames[np.argsort(opening(track)[frames], kind="stable")]
    return [int(ranked[round(place * (len(ranked) - 1))]) for place in OPENINGS]


def _enough(count: float) -> int:
    """At least as many frames as a spread can be chosen from."""
    return max(int(count), 4 * REFERENCES)


def mouth_geometry(track: FaceTrack, matrices: Float, chosen: list[int]) -> Float:
    """Geometry of the chosen frames against the clip's own closed mouth.

    Args:
        track: ``[T]`` frames.
        matrices: ``[T, 2, 3]`` crop transforms.
        chosen: frame indices.

    Returns:
        ``[len(chosen), 16] float32``.
    """
    lips = apply(matrices, track.lips)
    return geometry.from_lips(lips[chosen], geometry.rest(lips))
