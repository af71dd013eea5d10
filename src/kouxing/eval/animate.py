"""``kouxing evaluate animate``: speech of strangers -> coefficients, held against their tracked mouths.

The judge is the inner-lip gap that tracking measured, never a network of ours. What is judged is what users get: rows
at 60 a second out of the streaming ``Animator``, looked up at the video's frames. GRID, in the wild and motion
capture are reported apart. The threshold under which predicted lips count as closed is fixed in ``face.closure``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.audio.silence import frame_levels
from kouxing.data.animate import Take, load_takes
from kouxing.data.manifest import read_manifest
from kouxing.errors import DataError, OptionError
from kouxing.eval.animate_findings import GROUPS, LIVE, MEASURES, WAYS, Findings, best_threshold, findings
from kouxing.eval.animate_plot import plot
from kouxing.eval.animate_stream import streaming
from kouxing.eval.in_step import lateness
from kouxing.eval.known_words import classes_of, near_bilabials
from kouxing.eval.report import plain, write_text
from kouxing.infer.animate import load, voice
from kouxing.infer.animator import Animator
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.media.reader import load_sound
from kouxing.types import Bool, Float
from kouxing.units import COEFFICIENT_HZ, FRAME_HZ, SAMPLE_HZ

OUT = Path("kouxing-evaluation")

Progress = Callable[[int, int], None]
Speak = Callable[[Float], Float]
"""Samples ``[N]`` -> ``[T, 52]`` at video frames."""


@dataclass(frozen=True)
class AnimateReport:
    """An evaluation of the animation models.

    Attributes:
        split: what was judged.
        ways: way of animating -> what it reached.
        figures: by the names that the product states them with.
        files: what was written.
    """

    split: str
    ways: dict[str, Findings]
    figures: dict[str, float]
    files: tuple[Path, ...]

    def table(self) -> Table:
        """Groups under each other, ways beside each other."""
        table = Table(title=f"animate, split {self.split}")
        table.add_column("measure")
        for way in self.ways:
            table.add_column(way, justify="right")
        for group, title in GROUPS.items():
            if not any(group in found.measures for found in self.ways.values()):
                continue
            table.add_row(f"[bold]{title}[/bold]")
            for key, (label, digits) in MEASURES.items():
                values = [found.measures.get(group, {}).get(key, math.nan) for found in self.ways.values()]
                table.add_row(label, *(f"{value:.{digits}f}" if math.isfinite(value) else "" for value in values))
            table.add_section()
        self._by_language(table)
        return table

    def _by_language(self, table: Table) -> None:
        table.add_row("[bold]by language[/bold]")
        for language, first in next(iter(self.ways.values())).languages.items():
            for key, label in (("r", "aperture r, median"), ("f1", "closure F1")):
                values = [found.languages[language][key] for found in self.ways.values()]
                clips = f"{first['clips']:.0f} clip" + ("s" if first["clips"] > 1 else "")
                shown = (f"{value:.3f}" if math.isfinite(value) else "" for value in values)
                table.add_row(f"{language} ({clips}): {label}", *shown)


def evaluate(
    data: Path,
    split: str = "test",
    out: Path | None = None,
    *,
    ablated: Path | None = None,
    progress: Progress | None = None,
) -> AnimateReport:
    """Judge ``expression``, as files get it and as live streams do, and ``mouth`` on a split.

    Args:
        data: data folder (``data.manifest``).
        split: which split.
        out: folder for JSON and plots; ``kouxing-evaluation`` by default.
        ablated: weights folder of ``expression`` trained without its closure loss, judged beside.
        progress: called with (clips done, clips in all).

    Raises:
        DataError, MediaError: the data are not as they should be.
        WeightError: weights are missing or damaged.
        OutputError: ``out`` cannot be written.
    """
    takes = [take for take in load_takes(data, split) if take.group in GROUPS]
    if not takes:
        raise DataError(f"{data}: no clip of split {split!r} has coefficients to compare with")
    spoken = {clip.id: clip.language for clip in read_manifest(data, split)}
    samples = {take.name: samples_of(data, take) for take in takes}
    models = {"expression": load("expression"), LIVE: load("expression", live=True), "mouth": load("mouth")}
    ways = {way: speaker(model) for way, model in models.items()}
    if ablated is not None:
        ways["without closure loss"] = speaker(load("expression", ablated))
    made: dict[str, dict[str, Float]] = {}
    for nth, (way, speak) in enumerate(ways.items()):
        made[way] = {}
        for done, take in enumerate(takes, 1):
            made[way][take.name] = speak(samples[take.name])
            if progress:
                progress(nth * len(takes) + done, len(ways) * len(takes))
    made["loudness"] = {take.name: loudness(samples[take.name], len(take)) for take in takes}
    made["mean pose"] = {take.name: np.repeat(_mean_pose(takes)[None], len(take), 0) for take in takes}
    made["tracked"] = {take.name: take.values for take in takes}
    thresholds = {"loudness": best_threshold(takes, made["loudness"])}
    near = _near_bilabials(data, takes)
    late = lateness(data, split)
    found = {way: findings(takes, rows, spoken, thresholds.get(way), near, late) for way, rows in made.items()}
    longest = samples[max(samples, key=lambda name: len(samples[name]))]
    figures = figures_of(found) | streaming(LIVE, models[LIVE], longest)
    figures |= {f"mouth_{name}": value for name, value in streaming("mouth", models["mouth"], longest).items()}
    folder = out or OUT
    told = {"split": split, "figures": figures, "ways": {way: asdict(one) for way, one in found.items()}}
    path = folder / "animate.json"
    write_text(path, json.dumps(plain(told)))
    return AnimateReport(split, found, figures, (path, plot(takes, made, folder / "animate.png")))


def _near_bilabials(data: Path, takes: Sequence[Take]) -> dict[str, Bool]:
    try:
        return {name: near_bilabials(classes) for name, classes in classes_of(data, takes).items()}
    except OptionError:
        # Without espeak-ng nobody knows where they are: that measure is left out.
        return {}


def speaker(model: Mouth | Expression) -> Speak:
    """A model as a function of samples: through the 60 Hz stream, as users get it."""

    def speak(samples: Float) -> Float:
        one = voice(model)
        animator = Animator(one.rows, one.rate)
        return at_frames(np.concatenate([animator.push(samples), animator.finish()]))

    return speak


def at_frames(rows: Float) -> Float:
    """Rows ``[n, 52]`` at 60 a second, looked up at the video's frames: ``[T, 52]``."""
    frames = max((len(rows) - 1) * FRAME_HZ // COEFFICIENT_HZ + 1, 0)
    places = np.arange(frames) * COEFFICIENT_HZ / FRAME_HZ
    low = np.floor(places).astype(int)
    share = (places - low).astype(np.float32)[:, None]
    return np.asarray(rows[low] * (1 - share) + rows[np.minimum(low + 1, len(rows) - 1)] * share, np.float32)


def loudness(samples: Float, frames: int) -> Float:
    """Baseline: the jaw opens with the level, from 30 dB under the clip's loud speech on."""
    levels = frame_levels(samples, SAMPLE_HZ)[:frames]
    rows = np.zeros((frames, len(COEFFICIENTS)), np.float32)
    loud = np.percentile(levels, 95) if len(levels) else 0.0
    rows[: len(levels), PLACE["jawOpen"]] = np.clip((levels - loud + 30) / 30, 0, 1) * 0.3
    return rows


def _mean_pose(takes: Sequence[Take]) -> Float:
    return np.asarray(np.mean([take.values[take.found].mean(0) for take in takes], 0), np.float32)


def samples_of(data: Path, take: Take) -> Float:
    """The take's sound, ``[N]`` at ``SAMPLE_HZ``."""
    path = data / "mocap" / f"{take.name}.flac" if take.group == "mocap" else data / "clips" / f"{take.name}.mp4"
    return load_sound(path, SAMPLE_HZ).samples


def figures_of(ways: dict[str, Findings]) -> dict[str, float]:
    """The figures by which the product states its quality, each way's with its name before (``WAYS``)."""
    loud = ways["loudness"].measures
    told: dict[str, float] = {}
    for way, before in WAYS.items():
        found = ways[way].measures
        told |= {
            f"{before}r_grid": _of(found, "grid", "r"),
            f"{before}r_wild": _of(found, "wild", "r"),
            f"{before}r_wild_in_step": _of(found, "wild", "r_in_step"),
            f"{before}closure_f1_wild_in_step": _of(found, "wild", "f1_in_step"),
            f"{before}closure_f1_grid": _of(found, "grid", "f1"),
            f"{before}closure_f1_wild": _of(found, "wild", "f1"),
            f"{before}closure_f1_speech_grid": _of(found, "grid", "f1_speech"),
            f"{before}closure_f1_bilabial_grid": _of(found, "grid", "f1_bilabial"),
            f"{before}silence_score": _of(found, "grid", "silence"),
            f"{before}lag_ms": _of(found, "grid", "lag_ms"),
            f"{before}jitter_ratio": _of(found, "grid", "jitter"),
        }
        jaw = ways[way].correlations.get("mocap", {}).get("jawOpen", math.nan)
        told[f"{before}r_mocap_zh"] = jaw
    told["closure_f1_baseline_grid"] = _of(loud, "grid", "f1")
    told["closure_f1_baseline_wild"] = _of(loud, "wild", "f1")
    told["loudness_r_grid"], told["loudness_r_wild"] = _of(loud, "grid", "r"), _of(loud, "wild", "r")
    told["loudness_r_wild_in_step"] = _of(loud, "wild", "r_in_step")
    for language, one in ways["expression"].languages.items():
        told |= {
            f"r_lang_{language}": one["r"],
            f"closure_f1_lang_{language}": one["f1"],
            f"clips_lang_{language}": one["clips"],
        }
    if "without closure loss" in ways:
        told["closure_f1_ablated_grid"] = _of(ways["without closure loss"].measures, "grid", "f1")
    return {name: round(value, 4) for name, value in told.items() if math.isfinite(value)}


def _of(found: dict[str, dict[str, float]], group: str, key: str) -> float:
    return found.get(group, {}).get(key, math.nan)
