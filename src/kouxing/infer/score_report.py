"""What a score tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kouxing.infer.score_time import Moment, Stretch


@dataclass(frozen=True)
class FaceScore:
    """One face against the sound.

    Attributes:
        face: its index. seen_s: how long it is seen.
        offset_frames: None where it cannot be told. probability: that this is within one frame.
        confidence: LSE-C. lse_d: LSE-D. speaking: when its lips follow the sound, in seconds (from, to).
        curve: mean distance of lips and sound at the lags -15..15; empty where there is none.
    """

    face: int
    seen_s: float
    offset_frames: float | None
    probability: float
    confidence: float | None
    lse_d: float | None
    speaking: tuple[tuple[float, float], ...]
    curve: tuple[float, ...]


@dataclass(frozen=True)
class ScoreReport:
    """What a video's lips and sound say.

    Attributes:
        video: the file. seconds: of picture that was looked at.
        verdict: ``in step``, ``sound late``, ``sound early``, or ``varies`` where no one offset holds.
        offset_frames: frames of 25 a second by which the sound is late (negative: early), None where it varies.
        offset_ms: the same.
        probability: that this is within one frame, calibrated; where it varies, of the least sure stretch.
        lse_c, lse_d: the usual figures (SyncNet's), but in our own embedding: not to be compared with other networks'.
        speaker: the face that it was measured on.
        drift_frames: what the offset moves by from start to end; None where that cannot be told.
        stretches: parts with offsets of their own; one where it is constant.
        moments: the offset in windows of 4 s, one a second.
        faces: every face that was followed.
        fixed: the file that ``fix`` wrote. moved_ms: by how much later its sound is, negative: earlier.
        speed_x: seconds of video per second of work.
        warnings: what the user should know, a line each.
    """

    video: Path
    seconds: float
    verdict: str
    offset_frames: float | None
    offset_ms: float | None
    probability: float
    lse_c: float
    lse_d: float
    speaker: int
    drift_frames: float | None
    stretches: tuple[Stretch, ...]
    moments: tuple[Moment, ...]
    faces: tuple[FaceScore, ...]
    fixed: Path | None
    moved_ms: float | None
    speed_x: float
    warnings: tuple[str, ...]
