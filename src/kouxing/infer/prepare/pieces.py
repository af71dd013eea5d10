"""A chunk's frames -> clips of at most the wanted length, each inside one shot with one face, judged for quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.silence import frame_levels, silent_levels
from kouxing.infer.prepare.find import sound_of
from kouxing.infer.prepare.plan import (
    BRIDGED_FRAMES,
    CROP_SPAN,
    MISSING_SHARE,
    SILENT_SHARE,
    STILL_SHARE,
    TURNED_RANK,
    WIDEST_SPAN,
    Chunk,
    Places,
    Row,
    Settings,
)
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    from kouxing.infer.prepare.watch import Seen

EDGE = 1.04
"""The square leaves so much room around the farthest that the face gets."""


def divide(places: Places, settings: Settings, chunk: Chunk, seen: Seen) -> dict[str, list[Row]]:
    """Divide a chunk.

    Returns:
        ``shots``: rows ``first``, ``frames``, ``found``, ``face_px``. ``pieces``: rows ``id``, ``first``, ``frames``,
        the square's ``x``, ``y``, ``side_px``, and what was measured. ``rejects``: rows ``first``, ``frames``,
        ``step``, ``reason``, ``detail``. All frames are counted in the source, at 25 fps.
    """
    silent = _silent(places, chunk, len(seen))
    shots: list[Row] = []
    pieces: list[Row] = []
    rejects: list[Row] = []
    for first, last in shot_bounds(seen.cut):
        sizes = _sizes(seen.box[first:last])
        shots.append(
            {
                "first": chunk.first + first,
                "frames": last - first,
                "found": int(seen.found[first:last].sum()),
                "face_px": _rounded(float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else 0.0),
            }
        )
        for run_first, run_last, faced in runs(seen.found[first:last], first):
            if not faced:
                rejects.append(_refused(chunk, run_first, run_last, "faces", "no face"))
                continue
            for a, b in cuts(run_first, run_last, settings.clip_frames):
                row, refusal = judged(settings, seen, silent, a, b)
                if refusal is not None:
                    rejects.append(_refused(chunk, a, b, "pieces", *refusal))
                else:
                    name = f"{chunk.media.source.name}-{chunk.first + a:06d}"
                    pieces.append({"id": name, "first": chunk.first + a, "frames": b - a, **row})
    return {"shots": shots, "pieces": pieces, "rejects": rejects}


def shot_bounds(cut: Bool) -> list[tuple[int, int]]:
    """First and last (not included) frame of each shot."""
    bounds = sorted({0, *np.flatnonzero(cut).tolist(), len(cut)})
    return list(zip(bounds[:-1], bounds[1:], strict=True))


def runs(found: Bool, offset: int = 0) -> list[tuple[int, int, bool]]:
    """Runs with a face and without, as (first, last not included, whether with); short gaps belong to the face."""
    with_face = found.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~found).astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first <= BRIDGED_FRAMES and first > 0 and last < len(found):
            with_face[first:last] = True
    bounds = [0, *(np.flatnonzero(np.diff(with_face.astype(np.int8))) + 1).tolist(), len(found)]
    return [(offset + a, offset + b, bool(with_face[a])) for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b > a]


def cuts(first: int, last: int, length: int) -> list[tuple[int, int]]:
    """Clips of ``length`` frames one after the other, and the rest."""
    return [(a, min(a + length, last)) for a in range(first, last, length)]


def judged(settings: Settings, seen: Seen, silent: Bool, a: int, b: int) -> tuple[Row, tuple[str, str] | None]:
    """Measure frames ``a`` up to ``b``; the second is (reason, detail) where they are not good enough."""
    frames = b - a
    if frames < settings.least_frames:
        return {}, ("too short", f"{frames / FRAME_HZ:.2f} s")
    found = seen.found[a:b]
    missing = 1 - found.mean()
    if missing > MISSING_SHARE:
        return {}, ("face lost", f"in {missing:.0%} of the frames")
    face_px = float(np.median(_sizes(seen.box[a:b][found])))
    if face_px < settings.face_px:
        return {}, ("face too small", f"{face_px:.0f} px")
    turn = float(np.percentile(turns(seen.rotation[a:b][found]), TURNED_RANK))
    if turn > settings.turn_deg:
        return {}, ("turned away", f"{turn:.0f} degrees")
    sharp = seen.detail[a:b]
    sharp = sharp[np.isfinite(sharp)]
    detail = float(np.median(sharp)) if len(sharp) else 0.0
    if detail < settings.detail:
        return {}, ("blurred", f"detail {detail:.4f}")
    held = 1 - float(seen.fresh[a + 1 : b].mean())
    if held > STILL_SHARE:
        return {}, ("too few pictures", f"{held:.0%} repeat the one before")
    quiet = float(silent[a:b].mean())
    if quiet > SILENT_SHARE:
        return {}, ("nobody speaks", f"silent in {quiet:.0%} of the frames")
    x, y, side = square_around(seen.box[a:b][found])
    if side > WIDEST_SPAN * face_px:
        return {}, ("moves too far", f"its square has {side / face_px:.1f} face sizes")
    row: Row = {"x": x, "y": y, "side_px": side, "face_px": _rounded(face_px)}
    row |= {"turn_deg": _rounded(turn), "detail": round(detail, 4), "missing": int(frames - found.sum())}
    return {**row, "held": round(held, 3), "silent": round(quiet, 3)}, None


def square_around(box: Float) -> tuple[int, int, int]:
    """A still square around a face: its corner x, y and its side, even numbers of pixels.

    Args:
        box: ``[T, 4] float32`` of the frames with a face.
    """
    low, high = box[:, :2].min(0), box[:, 2:].max(0)
    centres = (box[:, :2] + box[:, 2:]) / 2
    middle = (centres.min(0) + centres.max(0)) / 2
    reach = float(max((middle - low).max(), (high - middle).max()))
    side = 2 * round(max(CROP_SPAN * float(np.median(_sizes(box))), 2 * EDGE * reach) / 2)
    x, y = (2 * round(float(value - side / 2) / 2) for value in middle)
    return x, y, side


def turns(rotation: Float) -> Float:
    """Angle between face and camera in degrees, ``[T]`` of rotations ``[T, 3, 3]`` (``frontal.pose``)."""
    return np.asarray(np.degrees(np.arccos(np.clip(rotation[:, 2, 2], -1, 1))), np.float32)


def _sizes(box: Float) -> Float:
    return np.asarray((box[:, 2:] - box[:, :2]).max(1), np.float32)


def _silent(places: Places, chunk: Chunk, frames: int) -> NDArray[Any]:
    """``[frames] bool``; what has no sound is silent."""
    first = chunk.first * SAMPLES_PER_FRAME
    samples = sound_of(places, chunk.media.source, first, first + frames * SAMPLES_PER_FRAME)
    silent = np.ones(frames, bool)
    heard = silent_levels(frame_levels(samples.astype(np.float32) / 32768, SAMPLE_HZ))[:frames]
    silent[: len(heard)] = heard
    return silent


def _refused(chunk: Chunk, a: int, b: int, step: str, reason: str, detail: str = "") -> Row:
    return {"first": chunk.first + a, "frames": b - a, "step": step, "reason": reason, "detail": detail}


def _rounded(value: float) -> float:
    return round(value, 1)
