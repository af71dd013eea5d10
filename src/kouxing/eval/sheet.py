"""Pictures of an evaluation that a person can look at: contact sheets, and apertures over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from kouxing.errors import OutputError
from kouxing.eval.report import PARTS, Row, known
from kouxing.media.aside import keeping
from kouxing.types import Bytes

LABEL_PX = 22
PAGE_CLIPS = 6
PANEL_PX = (150, 640)
PALETTE = {"real": (110, 110, 110), "made": (30, 90, 220)}


def write_picture(path: Path, image: Bytes) -> None:
    """Write ``[H, W, 3]`` RGB as PNG.

    Raises:
        OutputError: the folder cannot be written.
    """
    done, data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    if not done:
        raise OutputError(f"{path}: the picture could not be encoded")
    with keeping(path) as part:
        part.write_bytes(data.tobytes())


def read_picture(path: Path) -> Bytes:
    """Read what ``write_picture`` wrote: ``[H, W, 3]`` RGB."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image[..., ::-1], np.uint8)


def _number(row: Row, key: str) -> str:
    value = row.get(key)
    return f"{value:.2f}" if known(value) else "-"


def _crossed(row: Row) -> str:
    return f"speech of {row.get('cross')} r {_number(row, 'cross_r')}"


def contact_sheet(rows: Sequence[Row], strips: Sequence[Bytes]) -> Bytes:
    """Clips under each other, each with a line of text above its strip (``eval.judge``).

    Returns:
        ``[H, W, 3] uint8``.

    Raises:
        ValueError: no clip.
    """
    if not strips:
        raise ValueError("a contact sheet needs at least one clip")
    parts = []
    for row, strip in zip(rows, strips, strict=True):
        text = f"{row['id']}: real / own speech r {_number(row, 'self_r')}, lag {row.get('self_lag')}"
        text += f", sharpness {_number(row, 'self_sharpness')} / {_crossed(row)}"
        parts += [_label(text, strip.shape[1]), strip]
    return np.concatenate(parts, 0)


def _label(text: str, width: int) -> Bytes:
    bar = np.full((LABEL_PX, width, 3), 255, np.uint8)
    cv2.putText(bar, text, (4, LABEL_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return bar


def curves(rows: Sequence[Row]) -> Bytes:
    """Apertures over time, real (grey) and generated (blue): own speech on the left, other speech on the right.

    Returns:
        ``[H, W, 3] uint8``, a line of panels per clip.
    """
    lines = []
    for row in rows:
        own = _panel(row["real_aperture"], row.get("self_aperture") or [])
        other = _panel(row.get("cross_spoken_aperture") or [], row.get("cross_aperture") or [])
        text = f"{row['id']}: own speech r {_number(row, 'self_r')} | {_crossed(row)}"
        lines += [_label(text, 2 * PANEL_PX[1]), np.concatenate([own, other], 1)]
    return np.concatenate(lines, 0)


def _panel(real: Sequence[float | None], made: Sequence[float | None]) -> Bytes:
    height, width = PANEL_PX
    panel = np.full((height, width, 3), 255, np.uint8)
    cv2.rectangle(panel, (0, 0), (width - 1, height - 1), (200, 200, 200))
    frames = max(len(real), len(made), 2)
    top = max([v for v in (*real, *made) if v is not None], default=0.0) or 1.0
    for name, values in (("real", real), ("made", made)):
        run: list[tuple[int, int]] = []
        for at, value in enumerate([*values, None]):
            if value is not None:
                x, y = at / (frames - 1), value / top
                run.append((round(4 + x * (width - 9)), round(height - 6 - y * (height - 14))))
            elif run:
                # A gap in the track is a gap in the line.
                cv2.polylines(panel, [np.array(run, np.int32)], False, PALETTE[name], 1, cv2.LINE_AA)
                run = []
    return panel


def write_pictures(rows: Sequence[Row], strips: Sequence[Bytes], folder: Path) -> list[Path]:
    """Contact sheets and curves, ``PAGE_CLIPS`` clips to a page: ``sheet-grid-1.png``, ``curves-wild-2.png``."""
    written = []
    for part in PARTS:
        picked = [(row, strip) for row, strip in zip(rows, strips, strict=True) if row["part"] == part]
        for page, first in enumerate(range(0, len(picked), PAGE_CLIPS), 1):
            some_rows, some_strips = zip(*picked[first : first + PAGE_CLIPS], strict=True)
            for name, image in (("sheet", contact_sheet(some_rows, some_strips)), ("curves", curves(some_rows))):
                path = folder / f"{name}-{part}-{page}.png"
                write_picture(path, image)
                written.append(path)
    return written
