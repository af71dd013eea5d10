"""Train the front for streams: what it heard so far must tell what the front tells of the whole, without labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kouxing import weights
from kouxing.audio.front import NAME as WHOLE
from kouxing.audio.front import Front
from kouxing.audio.live_front import between
from kouxing.data.animate import Take, mocap_takes
from kouxing.data.footage import Footage, load_footage
from kouxing.data.front import FrontSounds
from kouxing.data.live_front import FrontSequences, Lesson, levelled
from kouxing.models.live_front import LiveFront
from kouxing.train.card import about, changed, further_sources
from kouxing.train.export_front import export_front
from kouxing.train.front_start import fresh
from kouxing.train.loop import Batch, Figures, Schedule, best_figures, counting, train
from kouxing.train.origin import origin
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

PRESETS = {
    "front": Schedule(
        steps=600, batch=16, rate=5e-4, warmup=50, validate_every=100, ema=0.99, precision="32-true", save_every_s=60
    )
}
FRAMES = 200
"""Own frames of a sequence, 4.8 s."""
VERSIONS = 3
"""How many versions of every recording are heard."""
STATISTICS_EVERY = 10
"""One recording of so many tells the stem's mean and spread."""
QUIET_S = 4
"""Length of silence and of faint hiss, which are learned as well."""


@dataclass
class FrontTask:
    """Model, data and loss of the front for streams."""

    model: LiveFront
    sequences: FrontSequences
    held_out: list[Lesson]

    def batch(self, number: int) -> Batch:
        return self.sequences(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        told, _ = self.model.told(batch["stem"], self.model.initial_state(len(batch["stem"])))
        told = told.float()
        lower, upper = (
            torch.gather(told, 1, batch[name][..., None].expand(-1, -1, told.shape[-1])) for name in ("lower", "upper")
        )
        rows = lower + batch["share"][..., None] * (upper - lower)
        mask = batch["mask"][..., None]
        loss = ((rows - batch["wanted"]).square() * mask).sum() / (mask.sum() * rows.shape[-1])
        return loss, {"front/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        made = [heard(cast(LiveFront, model), lesson.stem, len(lesson.rows)) for lesson in self.held_out]
        wanted = [lesson.rows.astype(np.float32) for lesson in self.held_out]
        # Every clip counts alike.
        missed = np.mean([np.mean((one - other) ** 2) for one, other in zip(made, wanted, strict=True)])
        told = 1 - float(missed / np.mean([np.mean(one**2) for one in wanted]))
        return {"val/explained": told, "score": told}


@torch.no_grad()
def heard(model: LiveFront, stem: np.ndarray, frames: int) -> Float:
    """Rows ``[frames, width]`` of what the stem gave, ``[n, width]``."""
    model.eval()
    device = next(model.parameters()).device
    told, _ = model.told(torch.from_numpy(stem.astype(np.float32))[None].to(device), model.initial_state(1))
    own = told[0].float().cpu().numpy()
    lower, upper, share = between(np.arange(frames))
    return np.asarray(own[lower] + share[:, None] * (own[upper] - own[lower]), np.float32)


def main(
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    schedule: Schedule = PRESETS["front"],
    report: Callable[[str], None] = print,
) -> LiveFront:
    """Train on the sound of ``data``'s train split; the same command resumes.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their card.
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        WeightError: the front is missing.
    """
    front = Front()
    sounds = FrontSounds(data, front)
    model = fresh()
    takes = mocap_takes(data, "train")
    recordings = named(load_footage(data, "train", counting(report, "clips made ready")), takes)
    _measure(model, sounds, recordings)
    lessons = _quiet(model, front)
    for version in range(VERSIONS):
        report(f"version {version + 1} of {VERSIONS}: hearing {len(recordings)} recordings")
        lessons += [_lesson(model, sounds, name, frames, version, recordings) for name, frames in recordings.items()]
    others = named(load_footage(data, "val"), [])
    held_out = [_lesson(model, sounds, name, frames, 0, others) for name, frames in others.items()]
    task = FrontTask(model, FrontSequences(lessons, FRAMES, schedule.batch, schedule.seed), held_out)
    config = {
        "model": "front",
        "dimensions": model.dimensions.as_dict(),
        "takes": [take.name for take in takes],
        "origin": origin(data) | {"front": sounds.sha256},
    }
    best = cast(LiveFront, train(task, schedule, out, device, config, report))
    options = changed(schedule, PRESETS["front"])
    save(best, data, out, " ".join(["kouxing train front --data DATA", *options, "--out runs/front_live"]))
    return best


def named(footage: Sequence[Footage], takes: Sequence[Take]) -> dict[str, int]:
    """Recordings -> their video frames."""
    return {clip.clip.id: len(clip) for clip in footage} | {take.name: len(take) for take in takes}


@torch.no_grad()
def _measure(model: LiveFront, sounds: FrontSounds, recordings: Mapping[str, int]) -> None:
    """Put mean and spread of levelled speech into the stem."""
    told = []
    for name in list(recordings)[::STATISTICS_EVERY]:
        x = model.stem.heard(_samples(sounds.sound(name, recordings[name])))
        told.append([float(x.mean()), float(x.var())])
    mean, variance = np.mean(told, 0)
    model.stem.mean.fill_(float(mean))
    model.stem.spread.fill_(float(np.sqrt(variance)))


def _samples(sound: Float) -> Tensor:
    return torch.from_numpy(levelled(sound, len(sound) // SAMPLES_PER_FRAME))[None]


def _lesson(
    model: LiveFront, sounds: FrontSounds, name: str, frames: int, version: int, others: Mapping[str, int]
) -> Lesson:
    names = list(others)
    return _taught(model, sounds.sound(name, frames, version, names), sounds.rows(name, frames, version, names))


@torch.no_grad()
def _taught(model: LiveFront, sound: Float, rows: Float) -> Lesson:
    return Lesson(model.stem(_samples(sound))[0].half().numpy(), rows.astype(np.float16))


def _quiet(model: LiveFront, front: Front) -> list[Lesson]:
    rng = np.random.default_rng(0)
    hiss = rng.normal(0, 1, QUIET_S * SAMPLE_HZ).astype(np.float32)
    return [_taught(model, hiss * level, front.hear(hiss * level)) for level in (0.0, 1e-4, 1e-3)]


def save(model: LiveFront, data: Path, out: Path, recipe: str) -> None:
    """Export the model of run folder ``out`` into it, with its card; ``recipe`` is the command that makes it anew."""
    units = {
        "samples": "[1, (n - 1) * 384 + 895] float32, 16 kHz, levelled (audio.level)",
        "state": "[3, 2, 1, 64, 288] keys and values of the frames before",
        "heard": "[1, n, 288], one row every 384 samples; rows of video frames lie between (audio.live_front.between)",
    }
    figures = {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
    beside = [*weights.card(WHOLE)["data"], *further_sources(data, coefficients=False, phones=False)]
    told = about(data, recipe, units, figures, beside)
    # The licence of what it began as asks for its text in every copy.
    export_front(model, told | {"notice": weights.card(WHOLE)["notice"]}, out)
