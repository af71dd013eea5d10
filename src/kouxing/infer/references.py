"""Reference choice at inference (methods.md section 4): the whole clip is looked at once, and a fixed set is chosen.

The rule is training's (``data.references``): near in head pose, one of each band of lip openings; where training draws,
sharp frames that close the lips best and open them widest are taken here. A fixed set keeps teeth the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.data import references
from kouxing.face import geometry
from kouxing.face.crop import EYE_DISTANCE_PX, apply
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, NOSE
from kouxing.types import Bool, Bytes, FaceTrack, Float
from kouxing.units import CROP_PX, HALF_PX

SHARP_SHARE = 0.6
"""Only frames at least this share as sharp as the sharp ones (their 90th percentile) are considered."""

WRITING = 1.5
"""Letters over a face are so much sharper than any of it that the frames' sharpness leaps: from one frame to the next
sharper one of a clip by no more than 1.4 without them, by 2.9 with them; held against the upper face's by no more than
1.3, and 2.7 (73 clips, one of them captioned)."""
PLAIN_SHARE = 0.2
"""So many frames must lie below the leap: fewer are blurred by a movement, and the rest is the face."""
WRITING_FRAMES = 10
"""Writing stays so long, in the mean; movements blur for shorter."""

REST_FRAMES = 5000
"""The closed mouth is estimated from no more frames."""

OPENINGS = (0.02, 0.50, 0.98)
"""Ranks of lip opening that are wanted: closed, between, and widest, where teeth show."""

CLOSED = 0.006
"""Inner-lip gap, in face widths, of closed lips (``face.geometry.CLOSED_GAP_PX`` of a crop)."""


@dataclass(frozen=True)
class References:
    """What the generator knows of the person.

    Attributes:
        crops: ``[R, 256, 256, 3] uint8`` RGB, ordered from closed to open mouth.
        geometry: ``[R, 16] float32``, the mouth geometry they show.
        anchors: ``[R, 8, 2] float32``, the head's points in them, crop pixels.
    """

    crops: Bytes
    geometry: Float
    anchors: Float

    def instead_of(self, at: int) -> References:
        """The same number of pictures without picture ``at``: its neighbour comes twice."""
        other = [min(range(len(self.crops)), key=lambda k: (k == at, abs(k - at)))]
        order = [other[0] if k == at else k for k in range(len(self.crops))]
        return References(self.crops[order], self.geometry[order], self.anchors[order])


def gather(track: FaceTrack, matrices: Float, chosen: list[int], crops: Bytes) -> References:
    """The chosen frames as references.

    Args:
        track: ``[T]`` frames, in frame pixels.
        matrices: ``[T, 2, 3]`` crop transforms.
        chosen: frame indices.
        crops: ``[len(chosen), 256, 256, 3]``, what they show.
    """
    anchors = apply(matrices[chosen], track.anchors[chosen])
    return References(crops, mouth_geometry(track, matrices, chosen), anchors)


def head_pose(anchors: Float) -> Float:
    """What tells of the head's turn, as training takes it (``data.footage``), but without the crop's own movement.

    Args:
        anchors: ``[T, 8, 2]``.

    Returns:
        ``[T, 3] float32`` in pixels of an upright crop: nose tip beside and below the eyes' middle, and face width.
    """
    right, left = anchors[:, 0:2].mean(1), anchors[:, 2:4].mean(1)
    line = left - right
    length = np.maximum(np.hypot(line[:, 0], line[:, 1]), 1e-6)
    nose = anchors[:, NOSE] - (right + left) / 2
    turn = (nose[:, 0] * line[:, 0] + nose[:, 1] * line[:, 1]) / length
    nod = (nose[:, 1] * line[:, 0] - nose[:, 0] * line[:, 1]) / length
    pose = np.stack([turn, nod, face_width(anchors)], 1) / length[:, None]
    return np.asarray(pose * EYE_DISTANCE_PX, np.float32)


def face_width(anchors: Float) -> Float:
    """Distance of the face's edges, ``[T]`` of anchors ``[T, 8, 2]``, in their unit."""
    return np.asarray(np.linalg.norm(anchors[:, EDGE_LEFT] - anchors[:, EDGE_RIGHT], axis=-1), np.float32)


def opening(track: FaceTrack) -> Float:
    """Inner-lip gap in face widths, ``[T] float32``; NaN where no face was found."""
    return np.asarray(geometry.gap(track.lips) / np.maximum(face_width(track.anchors), 1e-6), np.float32)


def sharpness(luma: NDArray[Any], matrix: Float) -> Float:
    """How much fine detail the lower and the upper face show: standard deviation of the Laplacian.

    Args:
        luma: ``[H, W]`` uint8 or uint16.
        matrix: ``[2, 3]``: frame pixels -> crop pixels.

    Returns:
        ``[2] float32``, lower half first; 0 for a flat picture; only comparable within one clip.
    """
    crop = cv2.warpAffine(luma, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    detail = cv2.Laplacian(crop, cv2.CV_32F)
    halves = detail[HALF_PX:], detail[:HALF_PX]
    return np.array([cv2.meanStdDev(half)[1].item() for half in halves], np.float32)


def choose(track: FaceTrack, usable: Bool, sharp: Float) -> list[int]:
    """The reference frames of a clip.

    Args:
        track: the followed face, ``[T]`` frames.
        usable: ``[T]``: frames with face and crop.
        sharp: ``[T, 2]`` from ``sharpness``.

    Returns:
        ``REFERENCES`` frame indices from closed to wide; one may come twice in a very short clip.

    Raises:
        ValueError: no frame is usable.
    """
    frames = np.flatnonzero(usable & track.found)
    if len(frames) == 0:
        raise ValueError("no usable frame to choose references from")
    frames = frames[~_written_over(sharp[frames], np.cumsum(track.cut, dtype=np.int64)[frames])]
    lower = sharp[:, 0]
    frames = frames[lower[frames] >= SHARP_SHARE * np.percentile(lower[frames], 90)]
    aperture, pose = opening(track)[frames], head_pose(track.anchors)[frames]
    rank = np.argsort(np.argsort(aperture, kind="stable"), kind="stable") / max(len(frames) - 1, 1)
    wanted = -np.abs(rank[:, None] - np.array(OPENINGS)).min(1)
    like = np.median(pose, 0)
    chosen = references.choose(aperture, pose, like, np.ones(len(frames), bool), wanted.astype(np.float32))
    closed = np.flatnonzero(aperture < CLOSED)
    if aperture[chosen[0]] >= CLOSED and len(closed):
        # Many close their lips only before they speak, with another turn of the head: a closed mouth counts for more.
        chosen[0] = int(closed[np.argmin(np.linalg.norm(pose[closed] - like, axis=-1))])
    return [int(frames[at]) for at in chosen]


def _written_over(sharp: Float, shot: NDArray[np.integer[Any]]) -> Bool:
    """Which of the frames ``[N]`` show captions on the lower face, where others of the clip show none.

    Letters sharpen the lower face alone: what sharpens the eyes as well is the camera's focus or the stream's bitrate.
    """
    lower, upper = sharp.T
    written = _leapt(lower) & _leapt(lower / np.maximum(upper, 1e-3))
    changes = written[1:] != written[:-1]
    stays = len(written) >= WRITING_FRAMES * (1 + int(changes.sum()))
    # One shot may be sharper than the next; writing comes and goes within a shot.
    return written & bool(stays and (changes & (shot[1:] == shot[:-1])).any())


def _leapt(values: Float) -> Bool:
    """Which of ``[N]`` lie above the lowest leap."""
    order = np.sort(values)
    first = max(int(PLAIN_SHARE * len(order)), 1)
    # Flat pictures are no plain faces.
    leaps = np.flatnonzero((order[first - 1 : -1] > 0) & (order[first:] > WRITING * order[first - 1 : -1]))
    if len(leaps) == 0:
        return np.zeros(len(values), bool)
    return np.asarray(values > order[first - 1 + leaps[0]])


def mouth_geometry(track: FaceTrack, matrices: Float, chosen: list[int]) -> Float:
    """Geometry of the chosen frames against the clip's own closed mouth.

    Args:
        track: ``[T]`` frames.
        matrices: ``[T, 2, 3]`` crop transforms.
        chosen: frame indices.

    Returns:
        ``[len(chosen), 16] float32``.
    """
    # A long film's closed mouth is known from part of its frames, and its lips are never all in memory twice.
    some = np.flatnonzero(track.found)
    some = some[np.linspace(0, len(some) - 1, min(len(some), REST_FRAMES)).astype(int)]
    rest = geometry.rest(apply(matrices[some], track.lips[some]))
    return geometry.from_lips(apply(matrices[chosen], track.lips[chosen]), rest)
