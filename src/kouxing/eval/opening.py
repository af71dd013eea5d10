"""``kouxing evaluate opening``: what ``--mouth`` does to the painted mouth, and what ``auto`` does for bad speech.

Clips are dubbed with their own speech at every coefficient, tracked anew, and the mean inner-lip gap is put against the
coefficient. For ``auto`` the speech is made quiet, or mumbled (only what lies under 700 Hz is left), on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from scipy.signal import butter, sosfilt

from kouxing.audio.silence import frame_levels
from kouxing.data.manifest import read_manifest
from kouxing.errors import OptionError
from kouxing.eval import metrics
from kouxing.eval.lips import OUT, choose_clips
from kouxing.eval.redub import Scene, Studio
from kouxing.eval.report import plain, write_text
from kouxing.face import geometry
from kouxing.infer import level
from kouxing.infer.parts import Parts, shipped
from kouxing.infer.speech import hear
from kouxing.media.aside import keeping
from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ

MOUTHS = tuple(round(0.4 + 0.2 * step, 1) for step in range(8))
"""Coefficients that are tried; 1.0 among them."""
FRAMES = 3 * FRAME_HZ
LEAST_S = 2.0
"""Shorter clips are single words: too few openings for a mean."""
QUIET_DB = 35.0
MUMBLED_HZ = 700.0
PLOT = "opening.png"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class OpeningReport:
    """What was measured.

    Attributes:
        preset, split: what was judged, on what.
        rows: a clip each: ``id``, ``part``, ``curve`` (mean gap in face widths at every coefficient), and the mean gap
            of spoiled speech without and with ``auto``.
        figures: by name.
        files: what was written.
    """

    preset: str
    split: str
    rows: tuple[dict[str, Any], ...]
    figures: dict[str, float]
    files: tuple[Path, ...] = ()

    def table(self) -> Table:
        """Mean opening by coefficient, of both parts."""
        table = Table(title=f"mean opening / face width, preset {self.preset}, split {self.split}")
        for title in ("--mouth", "GRID", "in the wild"):
            table.add_column(title, justify="right")
        parts = [[row["curve"] for row in self.rows if row["part"] == part] for part in ("grid", "wild")]
        for at, mouth in enumerate(MOUTHS):
            cells = [f"{np.mean([curve[at] for curve in curves]):.4f}" if curves else "" for curves in parts]
            table.add_row(f"{mouth:.1f}", *cells)
        table.caption = "  ".join(f"{name} {value:.3f}" for name, value in self.figures.items())
        return table


def evaluate(
    data: Path,
    preset: str = "fast",
    split: str = "val",
    limit: int | None = None,
    out: Path | None = None,
    *,
    parts: Parts | None = None,
    progress: Progress | None = None,
) -> OpeningReport:
    """Measure the opening control.

    Args:
        data: data folder (``data.manifest``) with 25 fps clips.
        preset: which network.
        split: which split.
        limit: at most so many clips of each part.
        out: folder for JSON and the plot; ``kouxing-evaluation`` by default.
        parts: tracker, speech encoder, network and paste; the shipped ones by default.
        progress: called with (clips done, clips in all).

    Raises:
        DataError, MediaError: the data are not as they should be.
        WeightError: weights are missing or damaged.
        OptionError: ``limit`` below 1.
        OutputError: ``out`` cannot be written.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"--limit {limit}: at least one clip of each part is needed")
    folder, parts = out or OUT, parts or shipped()
    studio = Studio(parts, preset)
    clips = choose_clips([clip for clip in read_manifest(data, split) if clip.seconds >= LEAST_S], limit)
    rows = []
    for done, clip in enumerate(clips):
        if progress:
            progress(done, len(clips))
        rows.append(_row(studio.load(data, clip, folder / "tracks" / f"{clip.id}.npz"), studio, parts))
    if progress:
        progress(len(clips), len(clips))
    found = figures(rows)
    told = {"preset": preset, "split": split, "mouths": MOUTHS, "figures": found, "rows": rows}
    write_text(folder / "opening.json", json.dumps(plain(told), indent=1))
    plot = _plot(rows, folder / PLOT)
    return OpeningReport(preset, split, tuple(rows), found, (folder / "opening.json", *plot))


def _row(scene: Scene, studio: Studio, parts: Parts) -> dict[str, Any]:
    def opened(features: Float, mouth: float = 1.0) -> Float:
        return metrics.aperture(studio.follow(studio.redub(scene, features, mouth=mouth, most=FRAMES)))

    sound = scene.samples[: FRAMES * SAMPLE_HZ // FRAME_HZ + SAMPLE_HZ]
    features = studio.hear(sound)
    curve = [opened(features, mouth) for mouth in MOUTHS]
    common = np.isfinite(np.stack(curve)).all(0)
    row: dict[str, Any] = {"id": scene.clip.id, "part": scene.clip.part}
    row["curve"] = [float(one[common].mean()) for one in curve]
    for name, spoiled in (("plain", sound), ("quiet", quiet(sound)), ("mumbled", mumbled(sound))):
        if name != "plain":
            row[name] = float(np.nanmean(opened(studio.hear(spoiled))))
        row[f"{name}_auto"] = float(np.nanmean(opened(automatic(spoiled, parts))))
    return row


def quiet(sound: Float) -> Float:
    """So soft that it lies under most noise gates."""
    return np.asarray(sound * 10 ** (-QUIET_DB / 20), np.float32)


def mumbled(sound: Float) -> Float:
    """As through a closed door: consonants gone, vowels dull."""
    return np.asarray(sosfilt(butter(4, MUMBLED_HZ, fs=SAMPLE_HZ, output="sos"), sound), np.float32)


def automatic(sound: Float, parts: Parts) -> Float:
    """Features ``[L, 16]`` as ``--mouth auto`` paints them."""
    factor = level.gain(frame_levels(sound, SAMPLE_HZ))
    words = hear(level.raised([sound], factor), parts.speech())
    return geometry.scaled(words.features, level.coefficients(words.features, words.silent))


def figures(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What the curves say.

    Returns:
        ``opening_monotone``: share of steps from one coefficient to the next, over all clips, at which the mouth opens
        wider; ``opening_bend``: largest change between two steps of the mean curve over the mean step (0 = a line);
        ``opening_low``, ``opening_high``: mean opening at the first and last coefficient against that at 1.0;
        ``quiet_plain``, ``quiet_auto`` and the same of ``mumbled``: mean opening of spoiled speech against clean
        speech, both at 1.0 or the spoiled one with ``auto``; ``clear_auto``: what ``auto`` makes of clean speech.
    """
    curves = np.array([row["curve"] for row in rows])
    mean, one = curves.mean(0), MOUTHS.index(1.0)
    steps = np.diff(mean)
    clean = mean[one]
    return {
        "opening_monotone": float((np.diff(curves, axis=1) > 0).mean()),
        "opening_bend": float(np.abs(np.diff(steps)).max() / max(steps.mean(), 1e-9)),
        "opening_low": float(mean[0] / clean),
        "opening_high": float(mean[-1] / clean),
        "clear_auto": float(np.mean([row["plain_auto"] for row in rows]) / clean),
        **{
            f"{name}_{way}": float(np.mean([row[key] for row in rows]) / clean)
            for name in ("quiet", "mumbled")
            for way, key in (("plain", name), ("auto", f"{name}_auto"))
        },
    }


def _plot(rows: Sequence[dict[str, Any]], path: Path) -> tuple[Path, ...]:
    """Opening against coefficient: a thin line a clip, the mean of each part; nothing where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return ()
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, chart = pyplot.subplots(figsize=(5, 3.6))
    for colour, (part, title) in zip(
        ("tab:blue", "tab:orange"), (("grid", "GRID"), ("wild", "in the wild")), strict=True
    ):
        curves = [row["curve"] for row in rows if row["part"] == part]
        for curve in curves:
            chart.plot(MOUTHS, curve, color=colour, alpha=0.25, linewidth=0.8)
        if curves:
            chart.plot(MOUTHS, np.mean(curves, 0), color=colour, marker="o", label=title)
    chart.set(xlabel="--mouth", ylabel="mean opening / face width", ylim=(0, None))
    chart.legend()
    figure.tight_layout()
    with keeping(path) as aside:
        figure.savefig(aside, dpi=110)
    pyplot.close(figure)
    return (path,)
