"""What the judge measures: pure functions of tracked landmarks and pictures, none of our own networks.

Apertures, distances and thresholds are in face widths (distance of the two face edges), so that clips of any size and
faces at any distance are measured alike. Pictures are measured at the crop's resolution (``CROP_PX``).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, GAP_LOWER, GAP_UPPER, NOSE
from kouxing.types import Bool, Bytes, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, HALF_PX

Real = NDArray[np.float64]

MAX_LAG = 5
"""Lags are searched within so many frames on both sides."""

CLOSED_SHARE = 0.12
CLOSED_FLOOR = 0.012
"""Lips count as closed under this share of the clip's real 95th percentile, or under this many face widths.

The floor is what the tracker reads on lips that touch: people who hardly open their mouths would else have a
threshold below the tracker's noise. Real and generated frames of a clip share one threshold, that of the real clip.
"""

RIGID = (0, 1, 2, 3, NOSE)
"""Places in ``ANCHOR_POINTS`` that speech does not move: eye corners and nose tip."""

MIN_FRAMES = 8
"""Fewer frames than this have no correlation worth telling."""

MOUTH_MARGIN = 0.15
"""The mouth box reaches beyond the lips by this share of its own size."""


def face_width(track: FaceTrack) -> Float:
    """``[T] float32``: distance of the face's two edges in frame pixels; NaN where no face was found."""
    width = np.linalg.norm(track.anchors[:, EDGE_LEFT] - track.anchors[:, EDGE_RIGHT], axis=-1)
    return np.where(track.found & (width > 0), width, np.nan).astype(np.float32)


def aperture(track: FaceTrack) -> Float:
    """``[T] float32``: inner-lip gap in face widths; NaN where no face was found."""
    gap = np.linalg.norm(track.lips[:, GAP_LOWER] - track.lips[:, GAP_UPPER], axis=-1)
    return np.asarray(gap / face_width(track), np.float32)


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Pearson's r over the frames that both have.

    Args:
        one, other: ``[T]`` each; NaN marks frames without a value.

    Returns:
        -1..1. 0 where one of them does not move: a still mouth follows nothing. NaN under ``MIN_FRAMES`` common frames.

    Raises:
        ValueError: the lengths differ.
    """
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"both must be [T], got {one.shape} and {other.shape}")
    both = np.isfinite(one) & np.isfinite(other)
    if int(both.sum()) < MIN_FRAMES:
        return float("nan")
    a, b = one[both].astype(np.float64), other[both].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / scale) if scale > 1e-12 else 0.0


@dataclass(frozen=True)
class Lag:
    """Where two curves fit best.

    Attributes:
        frames: by how many whole frames the first one is late (negative: early).
        exact: the same with the peak's parabola, in fractions of a frame.
        r: correlation at ``frames``.
    """

    frames: int
    exact: float
    r: float


def best_lag(made: NDArray[np.floating], real: NDArray[np.floating], reach: int = MAX_LAG) -> Lag:
    """How late ``made`` is against ``real``, by the highest correlation over whole-frame shifts.

    Every shift is judged on the same stretch of ``made``, so that no shift wins by leaving frames out; at equal
    correlation the smaller shift wins.

    Args:
        made, real: ``[T]`` each, NaN where there is no value.
        reach: shifts from ``-reach`` to ``reach`` are tried.

    Returns:
        The lag; all NaN with ``frames`` = 0 where nothing can be measured.
    """
    frames = len(made)
    if frames < 2 * reach + MIN_FRAMES:
        return Lag(0, float("nan"), float("nan"))
    middle = slice(reach, frames - reach)
    shifts = list(range(-reach, reach + 1))
    scores = np.array([correlation(made[middle], real[reach - s : frames - reach - s]) for s in shifts])
    if not np.isfinite(scores).any():
        return Lag(0, float("nan"), float("nan"))
    best = max(range(len(shifts)), key=lambda i: (np.nan_to_num(scores[i], nan=-2.0).round(9), -abs(shifts[i])))
    return Lag(shifts[best], shifts[best] + _peak(scores, best), float(scores[best]))


def _peak(scores: Real, at: int) -> float:
    """Offset -0.5..0.5 of the parabola through the peak and its two neighbours; 0 at the range's ends."""
    if at in (0, len(scores) - 1) or not np.isfinite(scores[at - 1 : at + 2]).all():
        return 0.0
    before, top, after = scores[at - 1 : at + 2]
    bend = before - 2 * top + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < -1e-12 else 0.0


def align(points: Float, anchors: Float, target: Float) -> Float:
    """Move points by the similarity that brings their rigid anchors onto the target's.

    Args:
        points: ``[T, P, 2]``.
        anchors, target: ``[T, 8, 2]``.

    Returns:
        ``[T, P, 2] float32``: head motion that differs between the two is gone; what is left is the mouth's own.
    """
    rigid = list(RIGID)
    z, w = _complex(anchors[:, rigid]), _complex(target[:, rigid])
    z_mean, w_mean = z.mean(1, keepdims=True), w.mean(1, keepdims=True)
    size = np.maximum((np.abs(z - z_mean) ** 2).sum(1, keepdims=True), 1e-9)
    factor = ((w - w_mean) * (z - z_mean).conj()).sum(1, keepdims=True) / size
    moved = factor * (_complex(points) - z_mean) + w_mean
    return np.stack([moved.real, moved.imag], -1).astype(np.float32)


def _complex(points: Float) -> NDArray[np.complex128]:
    wide = points.astype(np.float64)
    return np.asarray(wide[..., 0] + 1j * wide[..., 1])


def lip_distance(made: FaceTrack, real: FaceTrack) -> Float:
    """``[T] float32``: mean distance of the 40 lip points in face widths, after `align`; NaN where a face is missing.

    Raises:
        ValueError: the lengths differ.
    """
    if len(made) != len(real):
        raise ValueError(f"tracks differ in length: {len(made)} and {len(real)} frames")
    lips = align(made.lips, made.anchors, real.anchors)
    distance = np.linalg.norm(lips - real.lips, axis=-1).mean(-1) / face_width(real)
    return np.where(made.found & real.found, distance, np.nan).astype(np.float32)


def closed_threshold(real: NDArray[np.floating]) -> float:
    """Aperture under which this clip's lips count as closed, from its *real* apertures ``[T]``."""
    seen = real[np.isfinite(real)]
    if len(seen) == 0:
        return CLOSED_FLOOR
    return max(CLOSED_SHARE * float(np.percentile(seen, 95)), CLOSED_FLOOR)


@dataclass(frozen=True)
class Share:
    """A count out of a total, so that clips can be added up before dividing."""

    hits: int
    total: int

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.total + other.total)

    @property
    def value(self) -> float:
        return self.hits / self.total if self.total else float("nan")


def silence_closed(made: NDArray[np.floating], silent: Bool, threshold: float) -> Share:
    """Of the silent frames that show a face, how many have closed lips.

    Args:
        made: ``[T]`` apertures; NaN frames do not count.
        silent: ``[L] bool``, one per video frame of the speech; the shorter of the two lengths is judged.
        threshold: from `closed_threshold` of the real clip of the same face.
    """
    frames = min(len(made), len(silent))
    counted = silent[:frames] & np.isfinite(made[:frames])
    return Share(int((made[:frames][counted] < threshold).sum()), int(counted.sum()))


def mouth_box(lips: Float) -> tuple[int, int, int, int]:
    """``x0, y0, x1, y1`` in crop pixels around lip points ``[P, 2]`` of a crop, with a margin, inside the lower half.

    The box may be empty (``x1 <= x0``) for a face that lies outside its crop.
    """
    low, high = lips.min(0), lips.max(0)
    grow = MOUTH_MARGIN * (high - low).max()
    x0, y0 = np.floor(low - grow).astype(int)
    x1, y1 = np.ceil(high + grow).astype(int)
    return max(int(x0), 0), max(int(y0), HALF_PX), min(int(x1), CROP_PX), min(int(y1), CROP_PX)


def luma(image: Bytes) -> Real:
    """``[H, W] float64``, 0..255, of ``[H, W, 3] uint8`` RGB."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float64)


def detail(image: Bytes, box: tuple[int, int, int, int]) -> tuple[float, float]:
    """How much fine and how much middling detail the luma has inside ``box``.

    Args:
        image: ``[256, 256, 3] uint8`` crop.
        box: ``x0, y0, x1, y1``.

    Returns:
        Variance of the Laplacian (the finest detail; resampling alone takes a third of it) and mean squared gradient
        (edges and folds). Both 0 for a flat picture, NaN for an empty box.
    """
    x0, y0, x1, y1 = box
    if x1 - x0 < 3 or y1 - y0 < 3:
        return float("nan"), float("nan")
    grey = luma(image)
    across, down = (cv2.Sobel(grey, cv2.CV_64F, *order)[y0:y1, x0:x1] for order in ((1, 0), (0, 1)))
    return float(cv2.Laplacian(grey, cv2.CV_64F)[y0:y1, x0:x1].var()), float((across**2 + down**2).mean())


def detail_ratio(made: list[float], real: list[float]) -> float:
    """Median over frames of one `detail`, generated over real; NaN where no frame has both and is not flat."""
    pairs = [(m, r) for m, r in zip(made, real, strict=True) if np.isfinite(m) and np.isfinite(r) and r > 1e-9]
    return float(np.median([m / r for m, r in pairs])) if pairs else float("nan")


def lower_face(mask: Float | None = None) -> Bool:
    """``[256, 256] bool``: crop rows that are generated, and of those where the paste mask is above one half."""
    rows = np.zeros((CROP_PX, CROP_PX), bool)
    rows[HALF_PX:] = True
    return rows if mask is None else rows & (mask > 0.5)


def psnr(made: Bytes, real: Bytes, inside: Bool) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of ``inside`` (all three channels).

    Returns:
        At most 60 dB, what rounding to 8 bit allows in practice: equal pictures would give infinity and ruin a mean.
        NaN where ``inside`` is empty.
    """
    if not inside.any():
        return float("nan")
    error = float(((made[inside].astype(np.float64) - real[inside].astype(np.float64)) ** 2).mean())
    return min(10 * float(np.log10(255**2 / error)), 60.0) if error > 0 else 60.0


def ssim(made: Bytes, real: Bytes, inside: Bool) -> float:
    """Structural similarity of the luma, mean over the pixels of ``inside``; NaN where ``inside`` is empty."""
    if not inside.any():
        return float("nan")
    _, values = structural_similarity(luma(made), luma(real), data_range=255.0, full=True)
    return float(values[inside].mean())


def outside_diff(made: VideoFrame, real: VideoFrame, inside: Bool) -> int:
    """Largest change of any sample outside a mask, in the frame's own planes (no colour conversion hides any).

    Args:
        made, real: frames of the same format.
        inside: ``[H, W] bool``: luma pixels that may change. A chroma sample may change where its block of luma
            pixels touches the mask.

    Returns:
        0 where nothing outside was touched.

    Raises:
        ValueError: the planes differ in shape or type.
    """
    worst = 0
    for new, old in zip(made.planes, real.planes, strict=True):
        if new.shape != old.shape or new.dtype != old.dtype:
            raise ValueError(f"planes differ: {new.shape} {new.dtype} and {old.shape} {old.dtype}")
        free = _reduce(inside, (int(new.shape[0]), int(new.shape[1])))
        change = np.abs(new.astype(np.int64) - old.astype(np.int64))[~free]
        worst = max(worst, int(change.max(initial=0)))
    return worst


def _reduce(inside: Bool, shape: tuple[int, int]) -> Bool:
    """A luma mask at a plane's size: True where any luma pixel of the sample's block is."""
    if inside.shape == shape:
        return inside
    down, right = -(-inside.shape[0] // shape[0]), -(-inside.shape[1] // shape[1])
    padded = np.zeros((shape[0] * down, shape[1] * right), bool)
    padded[: inside.shape[0], : inside.shape[1]] = inside
    return np.asarray(padded.reshape(shape[0], down, shape[1], right).any((1, 3)))
