"""What an evaluation found: figures, a table, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kouxing.eval.metrics import Share
from kouxing.media.aside import keeping

Row = dict[str, Any]

PARTS = {"grid": "GRID", "wild": "in the wild"}
LAG_OK = 1
"""Up to so many frames early or late count as in time."""

# Measure's name in the table, its key in a row after "<way>_", decimals, and how clips are put together.
MEASURES = (
    ("aperture r, own speech", "r", 3, "median"),
    ("landmark distance / face width", "lmd", 4, "mean"),
    ("lower-face PSNR, dB", "psnr_db", 2, "mean"),
    ("lower-face SSIM", "ssim", 3, "mean"),
    ("perceptual distance (MS-GMSD)", "perceptual", 4, "mean"),
    ("nose and cheek drift / face width", "drift", 4, "mean"),
    ("mouth sharpness / real (Laplacian)", "sharpness", 2, "median"),
    ("mouth gradient energy / real", "gradient", 2, "median"),
    ("mouth detail / real, under 2 px", "fine", 2, "median"),
    ("mouth detail / real, 2 to 4 px", "middle", 2, "median"),
    ("mouth detail / real, 4 to 8 px", "coarse", 2, "median"),
)
COLUMNS = {"self": "ours", "truth": "ground truth", "copy": "copied", "wrong": "wrong", "old": "before"}
CAPTION = (
    "ground truth: the real mouth through our crop and paste; copied: a closed reference pasted into every frame; "
    "wrong: unrelated speech against the clip's own mouth; before: --against; r: correlation with the real mouth, "
    "median over clips; LSE by our own sync discriminator"
)
LSE = {"lsec": "LSE-C", "lsed": "LSE-D"}
ORIENTATION = {"loudness_r": "loudness alone, r", "encoder_r": "speech encoder's aperture, r"}


def numbers(rows: Iterable[Row], key: str) -> list[float]:
    """The finite values of ``key``."""
    values = (row.get(key) for row in rows)
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def median(rows: Iterable[Row], key: str) -> float:
    """Median over clips; NaN where no clip has the key."""
    found = numbers(rows, key)
    return float(np.median(found)) if found else math.nan


def mean(rows: Iterable[Row], key: str) -> float:
    """Mean over clips; NaN where no clip has the key."""
    found = numbers(rows, key)
    return float(np.mean(found)) if found else math.nan


def share(rows: Iterable[Row], ways: Sequence[str]) -> float:
    """Silence score of several ways of dubbing: frames with closed lips over silent frames, all clips added up."""
    total = Share(0, 0)
    for row in rows:
        for way in ways:
            total += Share(row.get(f"{way}_silent_closed", 0), row.get(f"{way}_silent", 0))
    return total.value


def lag_ok(rows: Iterable[Row], way: str = "self") -> float:
    """Share of clips with ``|lag| <= LAG_OK``; a clip whose lag cannot be measured is not in time."""
    marks = [known(row.get(f"{way}_lag_exact")) and abs(row[f"{way}_lag"]) <= LAG_OK for row in rows]
    return sum(marks) / len(marks) if marks else math.nan


def known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _ratio(rows: Sequence[Row], key: str, base: str) -> float:
    """Sum of one key over the sum of another, over the clips that have both."""
    both = [row for row in rows if known(row.get(key)) and known(row.get(base))]
    below = sum(row[base] for row in both)
    return sum(row[key] for row in both) / below if below > 0 else math.nan


def flicker_ratio(rows: Iterable[Row], way: str) -> float:
    """Change from frame to frame outside speech over that of the real frames; clips count by their pairs of frames."""
    both = [row for row in rows if known(row.get(f"{way}_flicker")) and known(row.get("real_flicker"))]
    made, real = (sum(row[key] * row["quiet_pairs"] for row in both) for key in (f"{way}_flicker", "real_flicker"))
    return made / real if real > 0 else math.nan


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """The figures by which the product states its quality; a figure that cannot be told is left out."""
    grid, wild = ([row for row in rows if row["part"] == part] for part in PARTS)
    gains = [row["self_psnr_db"] - row["copy_psnr_db"] for row in rows if known(row["self_psnr_db"])]
    outside = [row["self_outside"] for row in rows]
    found = {
        "self_r_grid": median(grid, "self_r"),
        "self_r_wild": median(wild, "self_r"),
        "self_lag_ok": lag_ok(grid),
        "psnr_gain_db": float(np.mean(gains)) if gains else math.nan,
        "lmd_ratio": _ratio(rows, "self_lmd", "copy_lmd"),
        "cross_r_grid": median(grid, "cross_r"),
        "cross_r_wild": median(wild, "cross_r"),
        "wrong_r": median(rows, "wrong_r"),
        "silence_score": share(rows, ("self", "cross")),
        "outside_mask_diff": float(max(outside)) if outside else math.nan,
        "sharpness_ratio": median(rows, "self_sharpness"),
        "mouth_gain_low": _ratio(rows, "low_opening", "mid_opening"),
        "mouth_gain_high": _ratio(rows, "high_opening", "mid_opening"),
    }
    return {name: round(value, 4) for name, value in found.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Report:
    """An evaluation of ``lips``.

    Attributes:
        preset, split: what was judged, on what.
        rows: one per clip (``eval.judge``).
        figures: see ``figures``.
        files: what was written.
    """

    preset: str
    split: str
    rows: tuple[Row, ...]
    figures: dict[str, float]
    files: tuple[Path, ...] = ()

    def part(self, name: str) -> list[Row]:
        """The rows of ``grid`` or ``wild``."""
        return [row for row in self.rows if row["part"] == name]

    def table(self) -> Table:
        """Both parts of the split under each other: ours beside the baselines."""
        table = Table(title=f"lips, preset {self.preset}, split {self.split}", caption=CAPTION)
        table.add_column("measure")
        older = any("old_r" in row for row in self.rows)
        for way, title in COLUMNS.items():
            if way != "old" or older:
                table.add_column(title, justify="right")
        for part, title in PARTS.items():
            rows = self.part(part)
            if not rows:
                continue
            table.add_row(f"[bold]{title}[/bold] ({len(rows)} clips)")
            for cells in _part_cells(rows):
                table.add_row(*cells[: len(table.columns)])
            table.add_section()
        return table

    def write(self, folder: Path) -> Path:
        """Write ``evaluation.json`` (figures and rows) into ``folder``."""
        path = folder / "evaluation.json"
        told = {"preset": self.preset, "split": self.split, "figures": self.figures, "rows": self.rows}
        write_text(path, json.dumps(plain(told)))
        return path


def _part_cells(rows: list[Row]) -> Iterable[list[str]]:
    how = {"median": median, "mean": mean}
    for title, key, digits, kind in MEASURES:
        yield [title, *(_cell(how[kind](rows, f"{way}_{key}"), digits) for way in COLUMNS)]
    timely = {way: lag_ok(rows, way) for way in ("self", "truth")}
    yield [f"clips with |lag| <= {LAG_OK} frame", _cell(timely["self"], 2), _cell(timely["truth"], 2), "", ""]
    yield ["aperture r, other clip's speech", _cell(median(rows, "cross_r"), 3), "", "", ""]
    for key, title in LSE.items():
        ways = ("self", "real", "copy", "chance")
        yield [title, *(_cell(mean(rows, f"{way}_{key}"), 2) for way in ways)]
        yield [
            f"{title}, other clip's speech",
            *(_cell(mean(rows, f"{way}_{key}"), 2) for way in ("cross", "cross_real")),
        ]
    flicker = (flicker_ratio(rows, way) for way in ("self", "truth", "copy"))
    yield ["change a frame outside speech / real", *(_cell(value, 2) for value in flicker)]
    quiet = [_cell(share(rows, ways), 3) for ways in (("self", "cross"), ("truth",))]
    yield ["lips closed in silence", *quiet, "", ""]
    outside = numbers(rows, "self_outside")
    yield ["largest change outside mask", _cell(max(outside, default=math.nan), 0), "", "", ""]
    for name in ("low", "high"):
        gain = _ratio(rows, f"{name}_opening", "mid_opening")
        yield [f"mean opening, --mouth {'0.6' if name == 'low' else '1.4'} / 1.0", _cell(gain, 2), "", "", ""]
    for key, title in ORIENTATION.items():
        yield [f"[dim]orientation: {title}[/dim]", _cell(median(rows, key), 3), "", "", ""]


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def plain(value: Any) -> Any:
    """The same value for JSON: NaN and infinity become null, numpy numbers Python's."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: Path, text: str) -> None:
    """Write aside, then rename.

    Raises:
        OutputError: the folder cannot be written.
    """
    with keeping(path) as part:
        part.write_text(text, encoding="utf-8")
