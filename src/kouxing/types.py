"""The currency between folders: frozen dataclasses with checked shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, PLACE, ROTATIONS
from kouxing.units import COEFFICIENT_HZ

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
    """ARKit's coefficients over time.

    Attributes:
        values: ``[T, 52] float32``, 0..1, columns as ``arkit.COEFFICIENTS``; ``column`` and ``named`` go by name.
        rate: rows per second; where ``pts`` is given, the rate of the clock that made them.
        rotations: ``[T, 9] float32`` radians, columns as ``arkit.ROTATIONS``, or None where nothing told them.
        pts: ``[T] int64``, strictly increasing row times in units of ``time_base``, for rows that are not evenly
            spaced (a phone that drops frames); None: row i stands at i / ``rate``.
        time_base: seconds per unit of ``pts``.
        start: time of day that time 0 stands for, in seconds; only time codes show it.
    """

    values: Float
    rate: Fraction = Fraction(COEFFICIENT_HZ)
    rotations: Float | None = None
    pts: NDArray[np.int64] | None = None
    time_base: Fraction = Fraction(1, COEFFICIENT_HZ)
    start: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(COEFFICIENTS):
            raise ValueError(f"values must be [T, {len(COEFFICIENTS)}], got {self.values.shape}")
        # Written so that NaN fails too.
        if len(self.values) and not (self.values.min() >= 0 and self.values.max() <= 1):
            raise ValueError("values must be finite and within 0..1")
        if self.rate <= 0 or self.time_base <= 0:
            raise ValueError(f"rate and time base must be positive, got {self.rate} and {self.time_base}")
        rows = len(self.values)
        if self.rotations is not None:
            if self.rotations.shape != (rows, len(ROTATIONS)):
                raise ValueError(f"rotations must be {(rows, len(ROTATIONS))}, got {self.rotations.shape}")
            if not np.isfinite(self.rotations).all():
                raise ValueError("rotations must be finite")
        if self.pts is not None and (self.pts.shape != (rows,) or not (np.diff(self.pts) > 0).all()):
            raise ValueError(f"pts must be [{rows}] and strictly increasing, got {self.pts.shape}")

    def __len__(self) -> int:
        return len(self.values)

    def time(self, row: int) -> Fraction:
        """When a row is due, in seconds, exact."""
        return Fraction(row) / self.rate if self.pts is None else int(self.pts[row]) * self.time_base

    @property
    def seconds(self) -> NDArray[np.float64]:
        """``[T]`` row times, for display and interpolation."""
        if self.pts is None:
            return np.arange(len(self)) / float(self.rate)
        return self.pts * float(self.time_base)

    def column(self, name: str) -> Float:
        """``[T]`` values of one coefficient.

        Raises:
            KeyError: ARKit has no such name.
        """
        return self.values[:, PLACE[name]]

    def named(self) -> dict[str, Float]:
        """All columns by name, in ARKit's order."""
        return {name: self.values[:, place] for name, place in PLACE.items()}

    @staticmethod
    def of(columns: Mapping[str, Float], rate: Fraction = Fraction(COEFFICIENT_HZ)) -> CoefficientTrack:
        """From columns ``[T]`` by name; what is missing is 0, what lies outside 0..1 is cut off.

        Raises:
            KeyError: ARKit has no such name.
        """
        rows = max((len(column) for column in columns.values()), default=0)
        values = np.zeros((rows, len(COEFFICIENTS)), np.float32)
        for name, column in columns.items():
            values[:, PLACE[name]] = np.clip(column, 0, 1)
        return CoefficientTrack(values, rate)

    def at(self, rate: Fraction = Fraction(COEFFICIENT_HZ)) -> CoefficientTrack:
        """Evenly spaced rows from the first row's time to the last one's, linear in between.

        The first row becomes time 0 and moves ``start``, so that time codes stay true.
        """
        if not len(self) or (self.pts is None and rate == self.rate):
            return self
        times = self.seconds - float(self.time(0))
        rows = int((self.time(len(self) - 1) - self.time(0)) * rate) + 1
        wanted = np.arange(rows) / float(rate)
        values = _between(wanted, times, self.values)
        turns = None
        if self.rotations is not None:
            turns = _between(wanted, times, np.unwrap(self.rotations, axis=0))
        return CoefficientTrack(values, rate, turns, start=self.start + self.time(0))


def _between(wanted: NDArray[np.float64], times: NDArray[np.float64], rows: Float) -> Float:
    columns = [np.interp(wanted, times, column) for column in rows.T]
    return np.stack(columns, 1).astype(np.float32)
