"""``lips`` beside networks of two published shapes: quality against cost, in figures, one plot and a sheet of pictures.

    python recipes/compare_lips.py --data DATA --out runs/compare --speech runs/speech

Every shape is trained from scratch with the same data, losses, optimiser and number of steps, then judged on the same
frames by the tracker; the shipped weights, which learned far longer, are judged beside them. Networks of Wav2Lip's and
Ultralight's shapes see the box, the size and the sound that they were made for. The same command goes on where it was
stopped. The sheet shows scikit-image's astronaut, nobody of ``DATA``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import compare_draw
import numpy as np
import torch
from compare_shapes import Copy, Graph, MelSamples, Rival, export, mel_rows, ultralight, wav2lip
from torch import nn

from kouxing import weights
from kouxing.audio.encoder import SpeechEncoder
from kouxing.data.footage import Footage, load_footage
from kouxing.data.lips import LipsSamples
from kouxing.data.references import APART
from kouxing.errors import KouxingError
from kouxing.eval import figures, metrics
from kouxing.eval.rows.grids import SHAPE_COLUMNS
from kouxing.face.geometry import opening
from kouxing.face.mask import mask as jaw_mask
from kouxing.face.track import FaceTracker
from kouxing.models.lips import PRESETS, Lips
from kouxing.train import restore, shape
from kouxing.train.lips_held_out import GIVEN, held_out_sample
from kouxing.train.lips_task import WEIGHTS, LipsTask
from kouxing.train.loop import BEST, Schedule, load_tensors, train
from kouxing.types import Bytes, FaceTrack, Float
from kouxing.units import CROP_PX, HALF_PX

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import bench_net  # noqa: E402 (lies there, not in the package)

SCHEDULE = Schedule(steps=200, batch=6, rate=8e-4, warmup=30, validate_every=200, precision="bf16-mixed", ema=0.98)
RUN = 2
JUDGED, LEFT = 30, 20
"""Frames of a clip that are judged, and how many at least are left to take references from."""
PICTURE_STEP = 3
"""Every so-manieth of them is compared pixel by pixel; the tracker sees all."""
CLIPS = {"val": 4, "test": 10}
"""Clips of the studio, and as many in the wild."""
LEAST_S = 2.0
"""Shorter clips are single words."""
CHUNK = 10
NO_FLOW = {"indecision": 0.0, "warp": 0.0}
"""Losses that only a network which warps its references has."""
ROUNDS = 40
MOMENTS = 7


@dataclass(frozen=True)
class Entry:
    """One network of the comparison.

    Attributes:
        title: in plot and sheet.
        make: -> the untrained network; the shipped one, ready, where ``trained``.
        losses: rows of the loss table that are others.
        mel: hears mel instead of mouth geometry.
        trained: is not trained here.
        cost: whose cost it has.
    """

    title: str
    make: Callable[[], nn.Module]
    losses: Mapping[str, float] = field(default_factory=dict)
    mel: bool = False
    trained: bool = False
    cost: str = ""


ENTRIES = {
    "copy": Entry("a copied mouth", Copy, trained=True),
    "fast": Entry("fast", lambda: Lips(PRESETS["fast"])),
    "wav2lip": Entry("Wav2Lip's shape", wav2lip, NO_FLOW, mel=True),
    "ultralight": Entry("Ultralight's shape", ultralight, NO_FLOW),
    "fine": Entry("fine", lambda: Lips(PRESETS["fine"])),
    "shipped_fast": Entry("fast as shipped", lambda: restore.lips("fast")[0], trained=True, cost="fast"),
}
"""By the first part of their figures' names."""


# --- training ---------------------------------------------------------------------------------------------------------


class Heard(Sequence[Float]):
    """What the speech encoder hears in each clip; listens when asked, for few clips of many are drawn."""

    def __init__(self, footage: list[Footage], encoder: SpeechEncoder) -> None:
        self._footage, self._encoder, self._kept = footage, encoder, dict[int, Float]()

    def __len__(self) -> int:
        return len(self._footage)

    def __getitem__(self, place: int) -> Float:
        if place not in self._kept:
            self._kept[place] = self._encoder.hear(self._footage[place].mel)
        return self._kept[place]


@dataclass
class World:
    """Everything that all entries share, loaded when first asked for."""

    data: Path
    out: Path
    speech: Path
    report: Callable[[str], None] = print
    kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def footage(self, split: str) -> list[Footage]:
        return self.once(f"footage {split}", partial(load_footage, self.data, split))

    def heard(self, split: str) -> Heard:
        return self.once(f"heard {split}", lambda: Heard(self.footage(split), SpeechEncoder(folder=self.speech)))

    def reader(self) -> nn.Module:
        def make() -> nn.Module:
            found = shape.main(self.footage("train"), self.footage("val"), self.out / "shape", report=self.report)
            return found.eval().requires_grad_(False)

        return self.once("reader", make)


def trained(name: str, world: World, schedule: Schedule) -> nn.Module:
    """The entry's network, trained now where its run folder has no end yet."""
    entry = ENTRIES[name]
    if entry.trained:
        return entry.make().eval()
    folder = world.out / name
    done = folder / "done.json"
    wanted = json.dumps({"steps": schedule.steps, "batch": schedule.batch})
    torch.manual_seed(schedule.seed)
    model = entry.make()
    if not (done.exists() and done.read_text(encoding="utf-8") == wanted):
        _train(name, model, world, schedule, folder)
        done.write_text(wanted, encoding="utf-8")
    load_tensors(model, folder / BEST)
    model.eval()
    if isinstance(model, Rival):
        model.net = Graph(export(model, folder / "net.onnx"))
    return model


def _train(name: str, model: nn.Module, world: World, schedule: Schedule, folder: Path) -> None:
    entry, footage = ENTRIES[name], world.footage("train")
    rows = [mel_rows(clip) for clip in footage] if entry.mel else world.heard("train")
    samples = (MelSamples if entry.mel else LipsSamples)(
        footage, rows, clips=max(1, schedule.batch // RUN), run=RUN, window=model.dimensions.window,
        spacing=1, seed=schedule.seed, width=model.dimensions.features,
    )  # fmt: skip
    held_out = [world.footage("val")[place] for place in chosen(world.footage("val"), CLIPS["val"])]
    pairs = [(clip, mel_rows(clip) if entry.mel else clip.geometry) for clip in held_out]
    losses = {**WEIGHTS, "sync": 0.0, "lipread": 0.0, "lipread_features": 0.0, "gan": 0.0, **entry.losses}
    task = LipsTask(model, samples, world.reader(), pairs, weights=losses)
    began = time.process_time()
    train(
        task, schedule, folder, "cpu", {"model": name, "weights": losses}, lambda line: world.report(f"{name} {line}")
    )
    world.report(f"{name}: {time.process_time() - began:.0f} s of one core")


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(name: str, model: nn.Module, world: World, split: str) -> list[dict[str, Any]]:
    """A row per clip, kept in the run folder."""
    path = world.out / name / f"judged-{split}.json"
    entry = ENTRIES[name]
    shipped = weights.card("lips_fast_frame")["sha256"] if name.startswith("shipped") else ""
    key = f"{CLIPS[split]} clips of {JUDGED} frames {shipped}"
    if path.exists():
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["of"] == key:
            return told["rows"]
    rows = []
    for place in chosen(world.footage(split), CLIPS[split]):
        clip = world.footage(split)[place]
        frames = judged_frames(clip)
        features = mel_rows(clip) if entry.mel else world.heard(split)[place]
        made = painted(model, clip, features, frames)
        rows.append({"id": clip.clip.id, "part": clip.clip.part, **_row(clip, frames, made, world)})
        world.report(f"{name} {split} {len(rows)}: " + "  ".join(f"{k} {v}" for k, v in rows[-1].items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"of": key, "rows": rows}, indent=1), encoding="utf-8")
    part.replace(path)
    return rows


def judged_frames(clip: Footage) -> np.ndarray:
    """The first frames with a face, the end left for references."""
    return np.flatnonzero(clip.found[: min(JUDGED, len(clip) - LEFT)])


def chosen(footage: Sequence[Footage], count: int) -> list[int]:
    """Which clips are judged: the first ``count`` of each part that are long enough."""
    long = [
        place
        for place, clip in enumerate(footage)
        if clip.clip.seconds >= LEAST_S and len(judged_frames(clip)) >= metrics.MIN_FRAMES
    ]
    parts = ([place for place in long if footage[place].clip.part == part][:count] for part in ("grid", "wild"))
    return [place for part in parts for place in part]


@torch.inference_mode()
def painted(model: nn.Module, clip: Footage, features: Float, frames: np.ndarray) -> Bytes:
    """Crops ``[N, 256, 256, 3]`` with the mouth that ``model`` paints, laid in along the jaw as a dub does."""
    usable = clip.found & (np.arange(len(clip)) > frames.max() + APART)
    made = []
    for some in np.array_split(frames, -(-len(frames) // CHUNK)):
        sample = held_out_sample(clip, features, some, model.dimensions, usable)
        inputs = [torch.from_numpy(sample[one]) for one in GIVEN]
        lower = model(*inputs)[0].permute(0, 2, 3, 1).numpy()
        made += [
            laid(model, clip.crop(int(at)), new, clip.jaw[at], clip.lips[at])
            for at, new in zip(some, lower, strict=True)
        ]
    return np.stack(made)


def laid(model: nn.Module, crop: Bytes, lower: Float, jaw: Float, lips: Float) -> Bytes:
    """A painted lower half ``[128, 256, 3]``, 0..1, in its crop, inside jaw and box."""
    alpha = jaw_mask(np.eye(2, 3, dtype=np.float32), jaw, lips)[HALF_PX:, :, None]
    if isinstance(model, Rival):
        alpha = alpha * model.cover()[HALF_PX:, :, None]
    whole = crop.copy()
    whole[HALF_PX:] = np.rint(255 * lower * alpha + crop[HALF_PX:] * (1 - alpha)).clip(0, 255)
    return whole


def _follow(crops: Bytes) -> FaceTrack:
    with FaceTracker() as tracker:
        for crop in crops:
            tracker.push(crop)
        return tracker.track()


def _row(clip: Footage, frames: np.ndarray, made: Bytes, world: World) -> dict[str, float]:
    real = np.stack([clip.crop(int(at)) for at in frames])
    there = world.once(f"track {clip.clip.id}", partial(_follow, real))
    here = _follow(made)
    noise, likeness, details = [], [], []
    for new, old, at in list(zip(made, real, frames, strict=True))[::PICTURE_STEP]:
        x0, y0, x1, y1 = box = metrics.mouth_box(clip.lips[at])
        inside = np.zeros((CROP_PX, CROP_PX), bool)
        inside[y0:y1, x0:x1] = True
        noise.append(metrics.psnr(new, old, inside))
        likeness.append(metrics.ssim(new, old, inside))
        details.append((metrics.detail(new, box)[0], metrics.detail(old, box)[0]))
    distance = metrics.lip_distance(here, there)
    return {
        "psnr_db": round(float(np.mean(noise)), 3),
        "ssim": round(float(np.mean(likeness)), 4),
        "sharpness": round(metrics.detail_ratio([a for a, _ in details], [b for _, b in details]), 4),
        "lip_distance": round(float(np.nanmean(distance)) if np.isfinite(distance).any() else float("nan"), 5),
        "r": round(metrics.correlation(metrics.aperture(here), metrics.aperture(there)), 4),
    }


def summarise(name: str, model: nn.Module, world: World) -> dict[str, dict[str, float]]:
    """Figures of every split."""
    return {split: summary(judge(name, model, world, split)) for split in CLIPS}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over clips; of correlations the median, studio and wild apart."""
    told = {key: float(np.nanmean([row[key] for row in rows])) for key in ("psnr_db", "ssim", "sharpness")}
    told["lip_distance"] = 100 * float(np.nanmean([row["lip_distance"] for row in rows]))
    for part in ("grid", "wild"):
        found = [row["r"] for row in rows if row["part"] == part and np.isfinite(row["r"])]
        told[f"r_{part}"] = float(np.median(found)) if found else float("nan")
    told["r"] = (told["r_grid"] + told["r_wild"]) / 2
    return told


# --- cost -------------------------------------------------------------------------------------------------------------


def graphs(folder: Path) -> dict[str, Path]:
    """ONNX files of what runs once a frame: rivals' networks alone, without box and resizing; our frame stage whole."""
    found = {name: export(ENTRIES[name].make().eval(), folder / f"{name}.onnx") for name in ("wav2lip", "ultralight")}
    return found | {preset: weights.SHIPPED / f"lips_{preset}_frame.onnx" for preset in ("fast", "fine")}


def costs(folder: Path, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """GMAC, million parameters and milliseconds of one core per frame, all networks in turn."""
    files = graphs(folder)
    told = {
        name: {"gmac": bench_net.count_macs(path) / 1e9, "mparams": bench_net.count_parameters(path) / 1e6}
        for name, path in files.items()
    }
    sessions = {name: bench_net.open_session(path, 1) for name, path in files.items()}
    spent: dict[str, list[float]] = {name: [] for name in files}
    for turn in range(rounds + 3):
        for name, session in sessions.items():
            feed = bench_net.random_feed(session)
            # Of the thread alone: other work on the machine does not count.
            began = time.thread_time()
            session.run(None, feed)
            if turn >= 3:
                spent[name].append(1000 * (time.thread_time() - began))
    return {name: {**row, "ms": float(np.median(spent[name]))} for name, row in told.items()}


# --- all of it --------------------------------------------------------------------------------------------------------


def compare(world: World, names: Sequence[str], schedule: Schedule, images: Path) -> dict[str, dict[str, Any]]:
    """Train, judge and draw; a row per name, kept as ``comparison.json`` in the run folder."""
    models = {name: trained(name, world, schedule) for name in names}
    cost = costs(world.out / "onnx")
    rows: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        entry, whose = ENTRIES[name], ENTRIES[name].cost or name
        judged = summarise(name, model, world)
        kind = "copy" if name == "copy" else "shipped" if entry.trained else "same"
        title = f"{entry.title}, {schedule.steps} steps" if kind == "same" else entry.title
        rows[name] = {"title": title, "kind": kind, "cost": whose, **cost.get(whose, {}), **judged["test"]}
        rows[name] |= {f"{key}_val": value for key, value in judged["val"].items()}
    (world.out / "comparison.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    compare_draw.quality_cost(rows, images / "lips-quality-cost.png")
    photo = compare_draw.astronaut(LEFT)
    heard = Heard([photo], SpeechEncoder(folder=world.speech))[0]
    order = np.argsort(opening(heard[: len(photo) - LEFT - APART]))
    moments = order[np.linspace(0, len(order) - 1, MOMENTS).astype(int)]
    shown = [
        (rows[name]["title"], painted(model, photo, mel_rows(photo) if ENTRIES[name].mel else heard, moments))
        for name, model in models.items()
    ]
    compare_draw.sheet(shown, images / "lips-rivals.png")
    return rows


def write(rows: Mapping[str, Mapping[str, Any]], schedule: Schedule) -> None:
    """``docs/figures/shapes.json``."""
    told = {f"{name}_{key}": row[key] for name, row in rows.items() for key in SHAPE_COLUMNS if key in row}
    command = "python recipes/compare_lips.py --data DATA --speech RUN"
    if set(rows) != set(ENTRIES):
        command += f" --only {' '.join(rows)}"
    notes = (
        f"{schedule.steps} steps of {schedule.batch} frames from scratch, but for the shipped network; "
        f"{JUDGED} frames each of {2 * CLIPS['test']} test clips; ms in ONNX Runtime, of a rival its network alone."
    )
    figures.write("shapes", command, told, notes)


def main() -> int:
    """Train what is not trained, judge what is not judged, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="data folder (docs/architecture.md)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/compare"), help="run folder; the same command goes on there"
    )
    parser.add_argument("--speech", type=Path, default=Path("runs/speech"), help="run folder of `kouxing train speech`")
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    parser.add_argument("--only", nargs="+", choices=list(ENTRIES), default=list(ENTRIES), metavar="NAME")
    parser.add_argument("--train-only", action="store_true", help="stop before judging")
    parser.add_argument("--no-write", action="store_true", help="pictures into --out; leave docs alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    schedule = replace(SCHEDULE, steps=options.steps, validate_every=options.steps)
    world = World(options.data, options.out, options.speech, partial(print, flush=True))
    try:
        if options.train_only:
            for name in options.only:
                trained(name, world, schedule)
            return 0
        rows = compare(world, options.only, schedule, options.out if options.no_write else ROOT / "docs" / "images")
        if not options.no_write:
            write(rows, schedule)
    except KouxingError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
