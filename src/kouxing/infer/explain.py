"""The attention of ``mouth`` as a picture: for each moment, how much it looked at the steps before and ahead."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from kouxing.errors import OutputError
from kouxing.media.aside import aside
from kouxing.types import Bytes, Float

STEP_PX, SPAN_PX = 3, 8
"""Size of one weight, along time and across."""
LEFT_PX, TOP_PX, BOTTOM_PX, RIGHT_PX = 76, 34, 44, 16
LABEL_EVERY = 5
INK = (40, 40, 40)
TITLE = "what 'mouth' attended to (brighter: more)"


def draw(path: Path, attention: Float, rate: Fraction, past: int) -> None:
    """Write the PNG: speech runs to the right; upwards, the step looked at, by how much later than the one made.

    Args:
        path: what to write.
        attention: ``[T, span]`` weights; a row adds up to 1.
        rate: rows per second.
        past: column of a row's own step.

    Raises:
        OutputError: too long for one picture, or it cannot be written.
    """
    scaled = np.sqrt(attention / max(float(attention.max()), 1e-9)).T[::-1]
    rows = cv2.applyColorMap(np.asarray(scaled * 255, np.uint8), cv2.COLORMAP_VIRIDIS)
    heat = cv2.resize(rows, None, fx=STEP_PX, fy=SPAN_PX, interpolation=cv2.INTER_NEAREST)
    height, width = heat.shape[:2]
    size = (TOP_PX + height + BOTTOM_PX, LEFT_PX + max(width, 6 * len(TITLE)) + RIGHT_PX, 3)
    sheet = np.full(size, 255, np.uint8)
    sheet[TOP_PX : TOP_PX + height, LEFT_PX : LEFT_PX + width] = heat
    _say(sheet, TITLE, LEFT_PX, 22, 0.42)
    for column in range(attention.shape[1]):
        steps = column - past
        if steps % LABEL_EVERY == 0:
            y = TOP_PX + height - SPAN_PX * column - SPAN_PX // 2
            cv2.line(sheet, (LEFT_PX - 5, y), (LEFT_PX - 1, y), INK, 1)
            _say(sheet, f"{round(1000 * steps / rate):+d} ms" if steps else "  now", 8, y + 4)
    seconds = len(attention) / rate
    for second in range(0, int(seconds) + 1, next((s for s in (1, 5, 30, 300) if seconds / s <= 60), 1800)):
        x = LEFT_PX + round(second * rate * STEP_PX)
        cv2.line(sheet, (x, TOP_PX + height), (x, TOP_PX + height + 4), INK, 1)
        _say(sheet, f"{second} s", x - 6, TOP_PX + height + 18)
    _say(sheet, "time in the speech", LEFT_PX, TOP_PX + height + 36)
    kept, data = cv2.imencode(".png", sheet)
    if not kept:
        raise OutputError(f"{path}: {float(seconds):.0f} s are too long for one picture")
    with aside(path) as part:
        part.write_bytes(data.tobytes())


def _say(sheet: Bytes, text: str, x: int, y: int, size: float = 0.38) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
