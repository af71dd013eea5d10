"""What a preparation is asked for, and the pieces of footage that its steps hand on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from kouxing.errors import OptionError
from kouxing.units import FRAME_HZ

VERSION = 2
"""Raise it when what a step keeps, or how it decides, changes: unfinished data sets of other versions are refused."""

CHUNK_S = 60
"""Footage is worked on in pieces of this length. Clips do not reach across: a multiple of a clip's length loses
none."""

CROP_SPAN = 1.7
"""Side of a clip in sizes of the face."""

WIDEST_SPAN = 2.6
"""A face that moves so far that the still square around all of it is larger is not kept."""

LARGEST_PX = 448
"""Larger squares are scaled down."""

BRIDGED_FRAMES = 5
"""The face may be lost for so many frames within a clip."""

MISSING_SHARE = 0.1
STILL_SHARE = 0.5
"""Largest share of frames that repeat the one before: under 12.5 pictures a second mouths cannot be followed."""

SILENT_SHARE = 0.95
TURNED_RANK = 90
"""Of the angles between face and camera in a clip, this percentile is judged."""


@dataclass(frozen=True)
class Settings:
    """What decides which clips come out; one data set has one.

    Attributes:
        clip_s: length of a clip. least_s: shorter rests are not kept.
        face_px: smallest face, the larger side of its mesh in the footage's pixels (median over the clip).
        turn_deg: largest angle between face and camera.
        detail: smallest sharpness of the lower face (``watch.detail``, median over the clip).
        landmarker: SHA-256 of MediaPipe's ``face_landmarker.task`` whose coefficients are stored; empty for ours.
    """

    clip_s: float = 5.0
    least_s: float = 2.0
    face_px: float = 64.0
    turn_deg: float = 50.0
    detail: float = 0.025
    landmarker: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.clip_s <= CHUNK_S:
            raise OptionError(f"--seconds {self.clip_s:g}: a clip has 1 to {CHUNK_S} seconds")
        if not 0.8 <= self.least_s <= self.clip_s:
            raise OptionError(f"--least {self.least_s:g}: give 0.8 to {self.clip_s:g} seconds (--seconds)")
        for name, value, most in (
            ("--face-px", self.face_px, 4096), ("--turn", self.turn_deg, 180), ("--detail", self.detail, 1)
        ):  # fmt: skip
            if not 0 <= value <= most:
                raise OptionError(f"{name} {value:g}: give 0 to {most}")

    @property
    def clip_frames(self) -> int:
        return round(self.clip_s * FRAME_HZ)

    @property
    def least_frames(self) -> int:
        return round(self.least_s * FRAME_HZ)


@dataclass(frozen=True)
class Source:
    """One file of footage.

    Attributes:
        id: from its label alone, so that other content stays in its split.
        label: its path below (and with) the folder that was given, with ``/``.
        path: where it is.
        key: SHA-256 of its content's beginning, end and length.
    """

    id: str
    label: str
    path: Path
    key: str

    @property
    def name(self) -> str:
        """Begins the name of what is made of it: other content has another one, so that footage that is changed, and
        changed back, finds its own clips."""
        return f"{self.id}-{self.key[:8]}"


@dataclass(frozen=True)
class Media:
    """A source that can be used, as ``find.inspect`` found it."""

    source: Source
    seconds: float
    width: int
    height: int
    rate: float

    @property
    def chunks(self) -> int:
        return max(1, -(-round(self.seconds * FRAME_HZ) // (CHUNK_S * FRAME_HZ)))


@dataclass(frozen=True)
class Chunk:
    """Frames ``first`` up to ``last`` (not included) of a source, counted at 25 fps from its start."""

    media: Media
    number: int

    @property
    def name(self) -> str:
        return f"{self.media.source.name}-{self.number:05d}"

    @property
    def first(self) -> int:
        return self.number * CHUNK_S * FRAME_HZ

    @property
    def last(self) -> int:
        return self.first + CHUNK_S * FRAME_HZ

    @property
    def seconds(self) -> float:
        """About how much footage it is, for progress."""
        return float(min(CHUNK_S, max(self.media.seconds - self.number * CHUNK_S, 0)))


@dataclass(frozen=True)
class Places:
    """The folders of a data set under way."""

    root: Path

    @property
    def work(self) -> Path:
        return self.root / "prepare"

    def step(self, name: str) -> Path:
        """Where a step keeps what it made of each piece."""
        return self.work / name

    def sound(self, source: Source) -> Path:
        """The source's sound: int16, mono, 16 kHz, from the first picture's time on."""
        return self.work / "sound" / f"{source.name}.pcm"

    def faces(self, chunk: Chunk) -> Path:
        return self.work / "faces" / f"{chunk.name}.npz"

    def clip(self, name: str) -> Path:
        return self.root / "clips" / f"{name}.mp4"

    def track(self, name: str) -> Path:
        return self.root / "tracks" / f"{name}.npz"


Row = dict[str, Any]
"""One line of a step's table: column -> JSON value."""


@dataclass(frozen=True)
class Reject:
    """Footage that is not kept, and why.

    Attributes:
        source: its label. start_s, seconds: which part; 0 and the whole length for a whole file.
        step: which step refused it. reason: in few words, the same for the same cause. detail: what was measured.
    """

    source: str
    start_s: float
    seconds: float
    step: str
    reason: str
    detail: str = ""


@dataclass
class Found:
    """What a step made: the next table's rows, and what it refused."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)


def time_of(frame: int) -> Fraction:
    """Exact time of a frame counted at 25 fps, seconds."""
    return Fraction(frame, FRAME_HZ)


def digest(text: str) -> str:
    """SHA-256 in hexadecimal; of file names too that are not UTF-8."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
