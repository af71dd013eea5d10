"""A score as a picture: how lips and sound match at every lag over time, the offset, and who speaks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.errors import OutputError
from kouxing.face.offset import REACH
from kouxing.infer.score_look import Looked
from kouxing.infer.score_report import ScoreReport
from kouxing.infer.score_watch import LAGS
from kouxing.media.aside import aside
from kouxing.types import Bytes, Float
from kouxing.units import FRAME_HZ

WIDTH_PX, LEFT_PX, RIGHT_PX = 1100, 90, 170
MAP_PX, CURVE_PX, BAR_PX, GAP_PX = 310, 150, 22, 44
PLOT_PX = WIDTH_PX - LEFT_PX - RIGHT_PX
SMOOTH_S = 1
MOST = 0.99
"""No chance is shown as 100 %."""
INK, FAINT, BLUE, RED = (40, 40, 40), (190, 190, 190), (190, 110, 30), (40, 40, 200)
"""Blue, green, red, as OpenCV has it."""
FACES = ((190, 110, 30), (40, 120, 220), (60, 150, 60), (150, 60, 150))


def draw(path: Path, report: ScoreReport, seen: Looked) -> None:
    """Write the PNG.

    Raises:
        OutputError: it cannot be written.
    """
    sim = seen.faces[report.speaker].sim
    height = GAP_PX + MAP_PX + GAP_PX + BAR_PX * len(report.faces) + GAP_PX + CURVE_PX + GAP_PX
    sheet = np.full((height, WIDTH_PX, 3), 255, np.uint8)
    offset = "" if report.offset_ms is None else f", {report.offset_ms:+.0f} ms"
    title = f"{report.video.name}: {report.verdict}{offset} (sure to {min(report.probability, MOST):.0%})"
    _say(sheet, title.encode("ascii", "replace").decode(), LEFT_PX, 26, INK, 0.55)
    _map(sheet, GAP_PX, sim, report)
    _bars(sheet, GAP_PX + MAP_PX + GAP_PX, report)
    _curves(sheet, height - GAP_PX - CURVE_PX, report)
    kept, data = cv2.imencode(".png", sheet)
    if not kept:
        raise OutputError(f"{path}: the picture could not be made")
    with aside(path) as part:
        part.write_bytes(data.tobytes())


def _map(sheet: Bytes, top: int, sim: Float, report: ScoreReport) -> None:
    """Lags over time, the bright line where lips and sound match; dots: the offset of each moment."""
    columns = _columns(sim)
    low, high = np.nanpercentile(columns, [5, 99.5]) if np.isfinite(columns).any() else (0.0, 1.0)
    shade = np.clip((columns - low) / max(high - low, 1e-6), 0, 1)
    grey = np.where(np.isfinite(shade), 255 * shade, 0).astype(np.uint8)
    coloured = cv2.applyColorMap(grey.T[::-1], cv2.COLORMAP_VIRIDIS)
    coloured[~np.isfinite(columns.T[::-1])] = (225, 225, 225)
    size = (PLOT_PX, MAP_PX)
    sheet[top : top + MAP_PX, LEFT_PX : LEFT_PX + PLOT_PX] = cv2.resize(coloured, size, interpolation=cv2.INTER_NEAREST)
    for lag in range(-REACH, REACH + 1, 5):
        y = _lag_y(top, lag)
        cv2.line(sheet, (LEFT_PX - 5, y), (LEFT_PX, y), INK, 1)
        _say(sheet, f"{lag * 1000 // FRAME_HZ:+d} ms", 22, y + 4, INK)
    for moment in report.moments:
        if moment.offset_frames is not None:
            place = (_time_x(moment.seconds, report), _lag_y(top, moment.offset_frames))
            cv2.circle(sheet, place, 3, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(sheet, place, 2, RED, -1, cv2.LINE_AA)
    _times(sheet, top + MAP_PX, report)
    _say(sheet, "sound late", LEFT_PX + PLOT_PX + 8, top + 14, INK)
    _say(sheet, "sound early", LEFT_PX + PLOT_PX + 8, top + MAP_PX - 6, INK)
    _say(sheet, f"face {report.speaker}, mean of {SMOOTH_S} s", LEFT_PX + PLOT_PX + 8, top + MAP_PX // 2, INK, 0.36)


def _columns(sim: Float) -> Float:
    """At most ``PLOT_PX`` means over time, each of at least ``SMOOTH_S``: ``[n, 31]``."""
    count = min(PLOT_PX, max(len(sim), 1))
    middles = (np.arange(count) + 0.5) * len(sim) / count
    half = max(SMOOTH_S * FRAME_HZ, len(sim) / count) / 2
    known = np.isfinite(sim)
    sums = np.concatenate([np.zeros((1, LAGS)), np.cumsum(np.where(known, sim, 0), 0, dtype=np.float64)])
    counts = np.concatenate([np.zeros((1, LAGS)), np.cumsum(known, 0)])
    first = np.clip(np.rint(middles - half), 0, len(sim)).astype(int)
    last = np.clip(np.rint(middles + half), 0, len(sim)).astype(int)
    number = counts[last] - counts[first]
    mean = (sums[last] - sums[first]) / np.maximum(number, 1)
    return np.where(number > 0, mean, np.nan).astype(np.float32)


def _bars(sheet: Bytes, top: int, report: ScoreReport) -> None:
    """When each face's lips follow the sound."""
    for place, face in enumerate(report.faces):
        y = top + place * BAR_PX
        cv2.line(sheet, (LEFT_PX, y + BAR_PX // 2), (LEFT_PX + PLOT_PX, y + BAR_PX // 2), FAINT, 1)
        for begin, end in face.speaking:
            box = (
                (_time_x(begin, report), y + 4),
                (max(_time_x(end, report), _time_x(begin, report) + 1), y + BAR_PX - 4),
            )
            cv2.rectangle(sheet, *box, FACES[place % len(FACES)], -1)
        _say(sheet, f"face {face.face}", 22, y + BAR_PX // 2 + 4, INK)
    _say(sheet, "lips follow the sound", LEFT_PX + PLOT_PX + 8, top + BAR_PX // 2 + 4, INK, 0.36)


def _curves(sheet: Bytes, top: int, report: ScoreReport) -> None:
    """Mean distance of lips and sound at every lag, a line a face."""
    known = [np.array(face.curve) for face in report.faces if face.curve]
    low, high = (min(c.min() for c in known), max(c.max() for c in known)) if known else (0.0, 1.0)
    base = top + CURVE_PX
    cv2.rectangle(sheet, (LEFT_PX, top), (LEFT_PX + PLOT_PX, base), FAINT, 1)
    for lag in range(-REACH, REACH + 1, 5):
        x = LEFT_PX + round((lag + REACH) / (LAGS - 1) * PLOT_PX)
        cv2.line(sheet, (x, base), (x, base + 5), INK, 1)
        _say(sheet, f"{lag * 1000 // FRAME_HZ:+d} ms", x - 24, base + 20, INK)
    for place, face in enumerate(report.faces):
        if not face.curve:
            continue
        xs = LEFT_PX + np.arange(LAGS) / (LAGS - 1) * PLOT_PX
        ys = base - 6 - (np.array(face.curve) - low) / max(high - low, 1e-6) * (CURVE_PX - 12)
        points = np.rint(np.stack([xs, ys], 1)).astype(np.int32)
        cv2.polylines(sheet, [points], False, FACES[place % len(FACES)], 2, cv2.LINE_AA)
    for text, y in ((f"{high:.2f}", top + 12), (f"{low:.2f}", base - 2)):
        _say(sheet, text, 44, y, INK)
    _say(sheet, "mean distance", LEFT_PX + PLOT_PX + 8, top + 14, INK, 0.36)
    _say(sheet, f"LSE-C {report.lse_c:.2f}, LSE-D {report.lse_d:.2f}", LEFT_PX + PLOT_PX + 8, top + 34, INK, 0.36)


def _times(sheet: Bytes, y: int, report: ScoreReport) -> None:
    step = next((s for s in (1, 2, 5, 10, 30, 60, 300, 600, 1800) if report.seconds / s <= 12), 3600)
    for second in range(0, int(report.seconds) + 1, step):
        x = _time_x(second, report)
        cv2.line(sheet, (x, y), (x, y + 5), INK, 1)
        _say(sheet, f"{second // 60}:{second % 60:02d}", x - 14, y + 20, INK)


def _time_x(seconds: float, report: ScoreReport) -> int:
    return LEFT_PX + round(min(seconds / max(report.seconds, 1e-6), 1.0) * (PLOT_PX - 1))


def _lag_y(top: int, lag: float) -> int:
    return top + round((REACH + 0.5 - lag) / LAGS * MAP_PX)


def _say(sheet: NDArray[np.uint8], text: str, x: int, y: int, colour: tuple[int, int, int], size: float = 0.4) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
