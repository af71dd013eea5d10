"""The pictures of ``compare_lips.py``: quality against cost, and a sheet of mouths painted on a free photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from kouxing.audio.features import frame_mels, log_mel
from kouxing.data.footage import Footage, encode_crop
from kouxing.data.manifest import Clip
from kouxing.face import geometry
from kouxing.face.crop import apply, crop_face, crop_matrices
from kouxing.face.track import FaceTracker
from kouxing.infer.demo import VOICE, portrait
from kouxing.media.reader import load_sound
from kouxing.types import Bytes
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

PANELS = {
    "psnr_db": "mouth, PSNR (dB)",
    "sharpness": "sharpness of the mouth / real",
    "r": "mouth opening, correlation with the real",
}
COLOURS = {"fast": "tab:blue", "fine": "tab:cyan", "wav2lip": "tab:red", "ultralight": "tab:orange"}
CLOSE_UP = (slice(84, 244), slice(48, 208))
"""Rows and columns of the crop that the sheet shows."""


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _keep(figure: Any, path: Path, dpi: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part.png")
    figure.savefig(part, dpi=dpi)
    _pyplot().close(figure)
    part.replace(path)
    return path


def quality_cost(rows: Mapping[str, Mapping[str, Any]], path: Path) -> Path:
    """Plot.

    Args:
        rows: by name: ``title``, ``cost`` (whose colour), ``gmac``, the ``PANELS``' keys, and ``kind``: ``same`` for
            the same steps, ``shipped``, or ``copy`` (no network).
        path: of the picture.
    """
    figure, charts = _pyplot().subplots(1, len(PANELS), figsize=(11, 3.9), sharex=True)
    marks = {"same": ("o", 8), "shipped": ("*", 13)}
    for chart, (key, label) in zip(charts, PANELS.items(), strict=True):
        for row in rows.values():
            if row["kind"] == "copy":
                chart.axhline(row[key], color="0.6", linestyle="--", linewidth=1, label=row["title"])
                continue
            mark, size = marks[row["kind"]]
            colour = COLOURS[row["cost"]]
            chart.plot(row["gmac"], row[key], mark, markersize=size, color=colour, label=row["title"])
        chart.set(xscale="log", xlabel="GMAC a frame", title=label)
        chart.title.set_fontsize(10)
        chart.set_xticks([1, 2, 4], ["1", "2", "4"])
        chart.set_xlim(0.7, 6)
        chart.minorticks_off()
        chart.margins(y=0.12)
        chart.grid(alpha=0.3)
    handles, titles = charts[0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    return _keep(figure, path, 110)


def astronaut(spare: int) -> Footage:
    """The demo's photo as footage that says the demo's sentence, and ``spare`` frames more."""
    image = portrait()
    with FaceTracker() as tracker:
        tracker.push(image)
        track = tracker.track()
    with as_file(files("kouxing") / "assets" / VOICE) as path:
        samples = load_sound(path, SAMPLE_HZ).samples
    frames = len(samples) // SAMPLES_PER_FRAME + spare
    matrix = crop_matrices(track.anchors, track.found, track.cut, FRAME_HZ)[0]
    lips, anchors, jaw = (apply(matrix, points[0]) for points in (track.lips, track.anchors, track.jaw))

    def every(value: np.ndarray) -> np.ndarray:
        return np.repeat(np.asarray(value)[None], frames, 0)

    return Footage(
        clip=Clip("astronaut", "test", "astronaut", "en", frames / FRAME_HZ, "open", "demo"),
        jpegs=(encode_crop(crop_face(image, matrix).image),) * frames,
        mel=frame_mels(log_mel(samples), frames),
        lips=every(lips),
        geometry=every(geometry.from_lips(lips[None], geometry.rest(lips[None]))[0]),
        aperture=np.zeros(frames, np.float32),
        anchors=every(anchors),
        jaw=every(jaw),
        silent=np.zeros(frames, bool),
        found=np.ones(frames, bool),
    )


def sheet(rows: Sequence[tuple[str, Bytes]], path: Path) -> Path:
    """A row of close-ups per network.

    Args:
        rows: title and crops ``[N, 256, 256, 3]``.
        path: of the picture.
    """
    count = len(rows[0][1])
    figure, tiles = _pyplot().subplots(len(rows), count, figsize=(1.55 * count + 1.5, 1.55 * len(rows)), squeeze=False)
    for line, (title, crops) in zip(tiles, rows, strict=True):
        for tile, crop in zip(line, crops, strict=True):
            tile.imshow(crop[CLOSE_UP], interpolation="bilinear")
            tile.set(xticks=[], yticks=[])
        line[0].set_ylabel(title.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(
        left=1.5 / (1.55 * count + 1.5), right=0.995, top=0.995, bottom=0.005, wspace=0.03, hspace=0.03
    )
    return _keep(figure, path, 75)
