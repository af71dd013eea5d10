"""``kouxing evaluate animate``: speech of strangers -> coefficients, held against their tracked mouths.

The judge is the inner-lip gap that tracking measured, never a network of ours. What is judged is what users get: rows
at 60 a second out of the streaming ``Animator``, looked up at the video's frames. GRID, in the wild and motion
capture are reported apart. The threshold under which predicted lips count as closed is fixed in ``face.closure``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.table import Table

from kouxing import weights
from kouxing.arkit import COEFFICIENTS, MOUTH, PLACE
from kouxing.audio.silence import frame_levels
from kouxing.data.animate import Take, load_takes
from kouxing.data.manifest import read_manifest
from kouxing.errors import DataError, OptionError
from kouxing.eval.closure import Judged, f1, judge, summary
from kouxing.eval.known_words import classes_of, near_bilabials
from kouxing.eval.metrics import correlation
from kouxing.eval.report import plain, write_text
from kouxing.face.closure import CLOSED_DISTANCE, CLOSED_SHARE
from kouxing.infer.animate import load, voice
from kouxing.infer.animator import Animator
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.media.reader import load_sound
from kouxing.types import Bool, Float
from kouxing.units import COEFFICIENT_HZ, FRAME_HZ, SAMPLE_HZ

OUT = Path("kouxing-evaluation")
GROUPS = {"grid": "GRID", "wild": "in the wild", "mocap": "motion capture, Mandarin"}
MEASURES = {
    "r": ("aperture r, median over clips", 3),
    "f1": ("closure F1", 3),
    "f1_speech": ("closure F1 inside speech", 3),
    "f1_bilabial": ("closure F1 about p, b and m", 3),
    "silence": ("lips closed in silence", 3),
    "lag_ms": ("lag, ms, median", 0),
    "jitter": ("jitter / real", 2),
    "mae": ("mouth coefficients, mean absolute error", 3),
}
LIVE = "expression live"
WAYS = {"expression": "", LIVE: "live_", "mouth": "mouth_"}
"""Ways of animating, and what stands before the names of their figures."""
WEIGHTS = {LIVE: ("expression_live", "expression_live_style", "mouth"), "mouth": ("mouth",)}
"""What each way that streams loads."""
STREAM_S = 20
"""Speech over which the streams' delay is timed."""
HEARD_S = Fraction(1, COEFFICIENT_HZ)
"""Samples given at a time there: one frame of animation."""

Progress = Callable[[int, int], None]
Speak = Callable[[Float], Float]
"""Samples ``[N]`` -> ``[T, 52]`` at video frames."""


@dataclass(frozen=True)
class Findings:
    """What one way of animating reached.

    Attributes:
        judged: a clip's figures, by clip.
        measures: group -> measure -> number (``MEASURES``).
        correlations: group -> coefficient -> median r over clips, where the channel moves.
        languages: language -> ``r`` (median), ``f1`` (of all frames together) and ``clips``.
    """

    judged: dict[str, Judged]
    measures: dict[str, dict[str, float]]
    correlations: dict[str, dict[str, float]]
    languages: dict[str, dict[str, float]]


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
    found = {way: findings(takes, rows, spoken, thresholds.get(way), near) for way, rows in made.items()}
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


def best_threshold(takes: Sequence[Take], rows: dict[str, Float]) -> dict[str, float]:
    """Group -> closed distance with the highest F1 there: in hindsight, which flatters the baseline."""
    tried = np.linspace(0.005, 0.3, 60)
    best = {}
    for group in {take.group for take in takes}:
        own = [take for take in takes if take.group == group]
        scores = [_f1([_judge(take, rows[take.name], float(limit)) for take in own]) for limit in tried]
        best[group] = float(tried[int(np.nanargmax(scores))])
    return best


def findings(
    takes: Sequence[Take],
    rows: dict[str, Float],
    spoken: dict[str, str],
    limits: dict[str, float] | None,
    near: dict[str, Bool] | None = None,
) -> Findings:
    """Judge one way of animating.

    Args:
        takes: what was spoken. rows: what was made of it, by take. spoken: language by take.
        limits: group -> closed distance, only for baselines.
        near: frames about p, b and m, of the takes whose words are known.
    """
    judged: dict[str, Judged] = {}
    measures: dict[str, dict[str, float]] = {}
    correlations: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        own = [take for take in takes if take.group == group]
        if not own:
            continue
        limit = (limits or {}).get(group, CLOSED_DISTANCE)
        mine = {take.name: _judge(take, rows[take.name], limit) for take in own}
        talking = [_judge(take, rows[take.name], limit, ~take.silent) for take in own]
        told = summary(list(mine.values()))
        errors = [_error(take, rows[take.name]) for take in own]
        about = [(take, near[take.name]) for take in own if near and take.name in near]
        measures[group] = {
            "r": told["r"],
            "f1": told["f1"],
            "f1_speech": _f1(talking),
            "f1_bilabial": _f1([_judge(take, rows[take.name], limit, close[: len(take)]) for take, close in about])
            if about
            else math.nan,
            "silence": told["silence"],
            "lag_ms": told["lag"] * 1000 / FRAME_HZ,
            "jitter": told["jitter"],
            "mae": float(np.mean(errors)),
        }
        correlations[group] = {name: _channel(own, rows, name) for name in COEFFICIENTS}
        judged |= mine
    return Findings(judged, measures, correlations, by_language(takes, judged, spoken))


def by_language(
    takes: Sequence[Take], judged: dict[str, Judged], spoken: dict[str, str]
) -> dict[str, dict[str, float]]:
    """Each language's median r, closure F1 and number of clips; motion capture is Mandarin."""
    languages: dict[str, list[Judged]] = {}
    for take in takes:
        if take.name in judged:
            languages.setdefault(spoken.get(take.name, "zh"), []).append(judged[take.name])
    told = {}
    for language, rows in sorted(languages.items()):
        known = [one.r for one in rows if math.isfinite(one.r)]
        r = float(np.median(known)) if known else math.nan
        told[language] = {"r": r, "f1": _f1(rows), "clips": float(len(rows))}
    return told


def _judge(take: Take, rows: Float, limit: float, where: Bool | None = None) -> Judged:
    frames = min(len(take), len(rows))
    counted = take.found if where is None else take.found & where
    return judge(rows[:frames], take.gap[:frames], take.silent[:frames], counted[:frames], limit)


def _f1(rows: Sequence[Judged]) -> float:
    return f1(sum(row.hits for row in rows), sum(row.misses for row in rows), sum(row.alarms for row in rows))


def _error(take: Take, rows: Float) -> float:
    frames = min(len(take), len(rows))
    seen = take.found[:frames]
    channels = [PLACE[name] for name in MOUTH if take.channels[PLACE[name]]]
    return float(np.abs(rows[:frames][seen][:, channels] - take.values[:frames][seen][:, channels]).mean())


def _channel(takes: Sequence[Take], rows: dict[str, Float], name: str) -> float:
    place, found = PLACE[name], []
    for take in takes:
        frames = min(len(take), len(rows[take.name]))
        seen = take.found[:frames]
        real = take.values[:frames, place][seen]
        if take.channels[place] and len(real) and np.ptp(real) > 0.02:
            found.append(correlation(rows[take.name][:frames, place][seen], real))
    return float(np.nanmedian(found)) if found else math.nan


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


def streaming(method: str, model: Mouth | Expression, samples: Float) -> dict[str, float]:
    """Delay, speed and size of a model's stream on one core, fed a sixtieth of a second at a time.

    Times are of the core's work: waiting for a core that others keep busy does not count.
    """
    samples = np.resize(samples, STREAM_S * SAMPLE_HZ).astype(np.float32)
    one = voice(model)
    whole = Animator(one.rows, one.rate)
    began = time.process_time()
    wanted = np.concatenate([whole.push(samples), whole.finish()])
    factor = (time.process_time() - began) / STREAM_S
    again = voice(model)
    animator = Animator(again.rows, again.rate)
    bounds = [int(step * HEARD_S * SAMPLE_HZ) for step in range(STREAM_S * COEFFICIENT_HZ + 1)]
    times, rows = [], []
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        began = time.process_time()
        rows.append(animator.push(samples[first:last]))
        times.append(1000 * (time.process_time() - began))
    rows.append(animator.finish())
    return {
        "lookahead_ms": one.look_ahead_ms,
        "ms_per_frame_p50": float(np.percentile(times, 50)),
        "ms_per_frame_p99": float(np.percentile(times, 99)),
        "model_mb": sum(weights.size_mb(name) for name in WEIGHTS[method]),
        "rtf": factor,
        "chunk_diff": float(np.abs(np.concatenate(rows) - wanted).max()),
    }


def plot(takes: Sequence[Take], made: dict[str, dict[str, Float]], path: Path) -> Path:
    """Real against predicted opening of the median clip of each group."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from kouxing.face.closure import TYPICAL_DISTANCE, lip_distance

    groups = [group for group in GROUPS if any(take.group == group for take in takes)]
    figure, axes = pyplot.subplots(len(groups), 1, figsize=(10, 2.4 * len(groups)), squeeze=False)
    for axis, group in zip(axes[:, 0], groups, strict=True):
        own = [take for take in takes if take.group == group]
        scores = [_judge(take, made["expression"][take.name], CLOSED_DISTANCE).r for take in own]
        take = own[int(np.argsort(scores)[len(scores) // 2])]
        frames = min(len(take), 8 * FRAME_HZ)
        times = np.arange(frames) / FRAME_HZ
        axis.fill_between(times, 0, np.where(take.found, take.gap, np.nan)[:frames], color="0.85", label="real")
        for way in WAYS:
            opened = np.maximum(lip_distance(made[way][take.name]), 0)[:frames] / TYPICAL_DISTANCE
            axis.plot(times[: len(opened)], opened, label=way, linewidth=1.2)
        axis.axhline(CLOSED_SHARE, color="0.6", linewidth=0.6, linestyle=":")
        axis.set(title=f"{GROUPS[group]}: the clip of median r", ylabel="opening", xlim=(0, times[-1]))
    axes[-1, 0].set_xlabel("seconds")
    axes[0, 0].legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    part = path.with_name(path.stem + ".part.png")
    figure.savefig(part, dpi=110)
    pyplot.close(figure)
    part.replace(path)
    return path
