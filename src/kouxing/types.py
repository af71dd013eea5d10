"""The currency between folders: frozen dataclasses with checked shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Bool = NDArray[np.bool_]

LIPS = 40
ANCHORS = 8
JAW = 21


@dataclass(frozen=True)
class AudioClip:
    """Sound in memory.

    Attributes:
        samples: ``[N] float32``, -1..1, mono.
        rate_hz: samples per second.
    """

    samples: Float
    rate_hz: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1:
            raise ValueError(f"samples must be [N], got {self.samples.shape}")

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True)
class Colour:
    """How a picture's planes are to be read as RGB.

    Attributes:
        pixel_format: FFmpeg's name, e.g. ``yuv420p``.
        matrix: ``bt601``, ``bt709`` or ``bt2020``.
        full_range: True where luma runs 0..255, False for 16..235.
        tags: FFmpeg's numbers of (colorspace, range, primaries, transfer), handed from reader to writer.
    """

    pixel_format: str
    matrix: str
    full_range: bool
    tags: tuple[int, int, int, int] = (2, 0, 2, 2)


@dataclass(frozen=True)
class VideoFrame:
    """One upright picture (rotation flags already applied) with its exact time.

    Attributes:
        planes: luma ``[H, W]`` and two chroma planes ``[h, w]``, uint8 or uint16 as in ``colour.pixel_format``.
        pts: presentation time in units of ``time_base``, from 0 at the file's first picture.
        time_base: seconds per unit of ``pts``.
        colour: how to read the planes.
    """

    planes: tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]
    pts: int
    time_base: Fraction
    colour: Colour

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])


@dataclass(frozen=True)
class FaceTrack:
    """One followed face, a row per frame, in frame pixels (x right, y down).

    Attributes:
        lips: ``[T, 40, 2] float32``: 20 points of the outer ring, then 20 of the inner ring (``face.landmarks``).
        anchors: ``[T, 8, 2] float32``: eye corners, nose tip, chin, face edges (``face.landmarks``).
        jaw: ``[T, 21, 2] float32``: face outline from one edge over the chin to the other (``face.landmarks``).
        found: ``[T] bool``: False where the face was not seen; the points there are NaN.
        cut: ``[T] bool``: True where a new shot starts, so that nothing is smoothed across.
    """

    lips: Float
    anchors: Float
    jaw: Float
    found: Bool
    cut: Bool

    def __post_init__(self) -> None:
        frames = len(self.found)
        wanted = {"lips": (frames, LIPS, 2), "anchors": (frames, ANCHORS, 2), "jaw": (frames, JAW, 2), "cut": (frames,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.found)


@dataclass(frozen=True)
class FaceCrop:
    """An upright ``CROP_PX`` square of a face that keeps its way back.

    Attributes:
        image: ``[256, 256, 3] uint8`` RGB.
        matrix: ``[2, 3] float32``: frame pixels -> crop pixels (a similarity: rotation, scale, shift).
    """

    image: Bytes
    matrix: Float


@dataclass(frozen=True)
class CoefficientTrack:
    """Named animation coefficients over time.

    Attributes:
        names: channel names, ARKit's where they are ARKit's.
        values: ``[T, len(names)] float32``, 0..1.
        rate_hz: rows per second.
    """

    names: tuple[str, ...]
    values: Float
    rate_hz: int = field(default=60)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(f"values must be [T, {len(self.names)}], got {self.values.shape}")
