"""Second pass: each frame's face gets the mouth that the speech asks for. Frames without face pass as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from kouxing.face.crop import apply, crop_face, crop_matrices, invert
from kouxing.face.paste import SeamColour
from kouxing.infer.references import References
from kouxing.infer.timeline import Timeline, feature_window
from kouxing.media.colour import to_rgb
from kouxing.types import Bool, Bytes, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, HALF_PX

GAP_S = Fraction(1, 5)
"""A face lost for no longer than this inside one shot is taken to have moved straight on."""

MARGIN_PX = 8
"""Pixels read around the crop's outline, for the filter that samples it."""


class LipsModel(Protocol):
    """What ``infer.lips.LipsNetwork`` offers here."""

    def set_references(self, references: References) -> None:
        """Pictures of the person."""
        ...

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        """``[256, 256, 3]`` crop, its ``[8, 2]`` anchors and ``[11, 16]`` features -> the crop with the new mouth."""
        ...


class Paste(Protocol):
    """``face.paste.paste``."""

    def __call__(
        self, frame: VideoFrame, image: Bytes, matrix: Float, jaw: Float, lips: Float, state: SeamColour | None
    ) -> VideoFrame:
        """The frame with the painted crop in its place."""
        ...


@dataclass(frozen=True)
class Cast:
    """The face to be painted, a row per source frame.

    Attributes:
        track: points in frame pixels, short gaps filled.
        matrices: ``[N, 2, 3]``: frame pixels -> crop pixels.
        present: ``[N] bool``: frames that are painted; the others pass through.
    """

    track: FaceTrack
    matrices: Float
    present: Bool


def cast(track: FaceTrack, rate_hz: float) -> Cast:
    """Prepare a whole track for painting.

    Args:
        track: as tracked, in frame pixels.
        rate_hz: frames per second (average).
    """
    matrices = crop_matrices(track.anchors, track.found, track.cut, rate_hz)
    filled = fill_gaps(track, int(GAP_S * Fraction(rate_hz)))
    return Cast(filled, matrices, filled.found & np.isfinite(matrices).all((1, 2)))


def fill_gaps(track: FaceTrack, longest: int) -> FaceTrack:
    """Bridge gaps of at most ``longest`` frames inside a shot by straight lines; longer ones stay open."""
    seen = np.flatnonzero(track.found)
    lips, anchors, jaw = (points.copy() for points in (track.lips, track.anchors, track.jaw))
    found = track.found.copy()
    for before, after in zip(seen[:-1], seen[1:], strict=True):
        missing = after - before - 1
        if not 0 < missing <= longest or track.cut[before + 1 : after + 1].any():
            continue
        share = (np.arange(1, missing + 1, dtype=np.float32) / (missing + 1))[:, None, None]
        for points in (lips, anchors, jaw):
            points[before + 1 : after] = (1 - share) * points[before] + share * points[after]
        found[before + 1 : after] = True
    return FaceTrack(lips, anchors, jaw, found, track.cut)


def crop_of(frame: VideoFrame, matrix: Float, rows: int = CROP_PX) -> Bytes:
    """The face crop ``[256, 256, 3]`` of a frame; only the pixels under it are turned into RGB.

    Args:
        frame: where the face is.
        matrix: ``[2, 3]``: frame pixels -> crop pixels.
        rows: how many of the crop's rows are wanted; those below are 0.
    """
    box = _box(frame, matrix, rows)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array(box[:2], np.float32)
    return crop_face(to_rgb(frame, box), shifted, rows).image


def _box(frame: VideoFrame, matrix: Float, rows: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the crop's outline in the frame, at even places, at least 2 px each way inside the frame."""
    side = float(CROP_PX)
    outline = apply(invert(matrix), np.array([[0, 0], [side, 0], [0, rows], [side, rows]], np.float32))
    margin = MARGIN_PX + int(4 * side / max(float(np.hypot(*matrix[0, :2])) * CROP_PX, 1e-6))
    x0, y0 = np.floor(outline.min(0)).astype(int) - margin
    x1, y1 = np.ceil(outline.max(0)).astype(int) + margin
    x0, y0 = (int(np.clip(low, 0, top - 2)) // 2 * 2 for low, top in ((x0, frame.width), (y0, frame.height)))
    x1, y1 = (int(np.clip(high, low + 2, top)) for high, low, top in ((x1, x0, frame.width), (y1, y0, frame.height)))
    return x0, y0, x1, y1


@dataclass(frozen=True)
class Painted:
    """An output frame on its way.

    Attributes:
        number: of the output frame.
        frame: the source's frame.
        image: ``[256, 256, 3]`` painted crop; None where the frame passes as it is.
    """

    number: int
    frame: VideoFrame
    image: Bytes | None


class Painter:
    """Makes output frame after output frame.

    Args:
        model: the lips network, its references set.
        paste: puts the painted crop back.
        cast: the face.
        timeline: which source frame each output frame shows, and when.
        features: ``[L, 16]`` of the speech.
        mouth: opening coefficient, 1 = as spoken.
        rows: of the crop that the model looks at; networks see the upper half and give the lower one.
    """

    def __init__(
        self,
        model: LipsModel,
        paste: Paste,
        cast: Cast,
        timeline: Timeline,
        features: Float,
        mouth: float,
        rows: int = HALF_PX,
    ) -> None:
        self._model = model
        self._paste = paste
        self._cast = cast
        self._timeline = timeline
        self._features = features
        self._mouth = mouth
        self._rows = rows
        self._shots = np.cumsum(cast.track.cut)
        self.seam = SeamColour()

    def __call__(self, item: tuple[int, VideoFrame]) -> VideoFrame:
        """(number of the output frame, the source's frame) -> the output frame at its own time; call in order."""
        return self.put_back(self.paint(item))

    def paint(self, item: tuple[int, VideoFrame]) -> Painted:
        """The first, slow half of it: crop and network. In any order, from any thread."""
        number, frame = item
        row = int(self._timeline.source[number])
        if not self._cast.present[row]:
            return Painted(number, frame, None)
        window = feature_window(self._features, self._timeline.time(number))
        matrix = self._cast.matrices[row]
        anchors = apply(matrix, self._cast.track.anchors[row])
        crop = crop_of(frame, matrix, self._rows)
        return Painted(number, frame, self._model.paint(crop, anchors, window, self._mouth))

    def put_back(self, made: Painted) -> VideoFrame:
        """The second half: the painted crop into its frame; in order, for the seam's colour follows the light."""
        number, frame = made.number, made.frame
        row = int(self._timeline.source[number])
        before = int(self._timeline.source[max(number - 1, 0)])
        if self._shots[row] != self._shots[before]:
            self.seam.forget()
        if made.image is not None:
            track, matrix = self._cast.track, self._cast.matrices[row]
            frame = self._paste(frame, made.image, matrix, track.jaw[row], track.lips[row], self.seam)
        return replace(frame, pts=int(self._timeline.pts[number]), time_base=self._timeline.time_base)
