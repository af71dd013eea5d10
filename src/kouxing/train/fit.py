"""``fit``: the shipped ``lips`` network learns one person from minutes of footage (methods.md section 4, Promise).

What learns is ``PART`` (by measurement: docs/log.md); it stops when held-out seconds get no better.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing import __version__, weights
from kouxing.data.lips import LipsSamples, region
from kouxing.errors import KouxingError, MediaError, OptionError, OutputError, UnsureError
from kouxing.face.geometry import GEOMETRY
from kouxing.infer import person
from kouxing.infer.crispness import amount
from kouxing.infer.given import face_number, paths
from kouxing.infer.job import Job, fingerprint
from kouxing.infer.order import PRESETS
from kouxing.infer.parts import weight_names
from kouxing.media.aside import alone, is_there, output_errors
from kouxing.models.lips import Lips
from kouxing.train import restore
from kouxing.train.fit_footage import GOOD_S, MOST_S, Taken, Told, take
from kouxing.train.fit_manner import Manner, learnt_manner
from kouxing.train.lips_held_out import held_out_sample, painted
from kouxing.train.lips_task import LipsTask
from kouxing.train.loop import Batch, Figures, Schedule, best_figures, check_device, train
from kouxing.types import Bytes, Float
from kouxing.units import FRAME_HZ

PART = ("frame_encoder.", "reference_encoder.", "fusion.", "enter.", "blocks.", "where.", "paint_out.", "turn.")
"""Parameters whose names begin so are trained."""
SCHEDULE = Schedule(steps=800, batch=8, rate=1e-3, warmup=20, floor=0.05, ema=0.98, validate_every=100, save_every_s=30)
PATIENCE = 6
"""Validations without a better one that end the training."""
RUN = 2
JUDGED = 96
"""Held-out frames that are looked at."""
LEAST_GAIN_DB = 0.05
MOST_SHARPENED = 1.2
"""Of the mouth (``infer.crispness``); more makes ringing."""
INSIDE = 0.6
"""Of the weight map: what is pasted by half."""
FITTED = {
    "reconstruction": 8.0,
    "squared": 40.0,
    "texture": 8.0,
    "gradient": 0.5,
    "difference": 1.0,
    "warp": 1.0,
    "indecision": 0.1,
}
"""The loss table without what needs networks that do not ship; closeness counts for more (docs/log.md)."""


@dataclass(frozen=True)
class FitReport:
    """What came out.

    Attributes:
        out: the person file.
        preset: the network that was fitted.
        seconds: footage that shows the face.
        before_db, after_db: PSNR of the lower face on held-out seconds, shipped and by what ``out`` holds.
        manner_db: the same by the shipped network that hears the person's manner; ``before_db`` where none is kept.
        manner_gain: share of the heard mouths' error there that the person's manner of speaking takes away; 0 for none.
        steps: of the optimiser; 0 where the picture stays the shipped network's.
        minutes: from start to end; of a resumed job only the last part.
        warnings: what the user should know, a line each.
    """

    out: Path
    preset: str
    seconds: float
    before_db: float
    manner_db: float
    after_db: float
    manner_gain: float
    steps: int
    minutes: float
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "out": str(self.out), "warnings": list(self.warnings)}


@dataclass
class FitTask(LipsTask):
    """As ``LipsTask``, judged by the lower face's PSNR on the person's own held-out seconds."""

    taken: Sequence[Taken] = ()
    told: Told = lambda stage, done, total: None
    steps: int = 1
    since_best: int = 0
    best: float = -np.inf

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        self.told("fit", round(progress * self.steps) + 1, self.steps)
        return super().step(model, batch, progress)

    @torch.no_grad()
    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        score = self.psnr_db(model)
        self.since_best = 0 if score > self.best else self.since_best + 1
        self.best = max(self.best, score)
        return {"val/psnr_db": score, "score": score}

    def memory(self) -> dict[str, Tensor]:
        """How long nothing has got better."""
        counts = torch.tensor([self.best, float(self.since_best)], dtype=torch.float64)
        return super().memory() | {"patience": counts}

    def remember(self, kept: dict[str, Tensor]) -> None:
        """Take back what ``memory`` gave."""
        super().remember({name: value for name, value in kept.items() if name != "patience"})
        self.best, self.since_best = float(kept["patience"][0]), int(kept["patience"][1])

    def enough(self) -> bool:
        """Whether the held-out seconds have stopped getting better."""
        return self.since_best >= PATIENCE

    @torch.no_grad()
    def psnr_db(self, model: nn.Module) -> float:
        """Mean PSNR of the painted lower face, held-out frames, features as heard; references from the rest."""
        rows: list[float] = []
        for one, frames, made, real in self._held_out(model):
            maps = [region(one.footage.lips[i], one.footage.jaw[i]) for i in frames]
            weight = torch.from_numpy(np.stack(maps)[:, None]).to(made.device)
            inside = F.interpolate(weight, made.shape[2:], mode="bilinear", align_corners=False) > INSIDE
            error = ((made - real).square() * inside).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3))).clamp(1)
            rows += (-10 * torch.log10(error.clamp(min=1e-6))).tolist()
        return float(np.mean(rows))

    @torch.no_grad()
    def sharpening(self, model: nn.Module) -> float:
        """How much the mouths of held-out frames lack in detail once they are pasted (``infer.crispness``)."""
        made_all: list[Bytes] = []
        real_all: list[Bytes] = []
        anchors: list[Float] = []
        scales: list[float] = []
        for one, frames, made, real in self._held_out(model):
            made_all += list(_crops(made))
            real_all += list(_crops(real))
            anchors += list(one.footage.anchors[frames])
            scales += one.scale[frames].tolist()
        return amount(made_all, real_all, np.stack(anchors), MOST_SHARPENED, scales)

    def _held_out(self, model: nn.Module) -> Iterator[tuple[Taken, NDArray[np.integer[Any]], Tensor, Tensor]]:
        """Footage, some of its held-out frames, and their lower halves, painted and real."""
        total = sum(int(one.held.sum()) for one in self.taken)
        for one in self.taken:
            frames = np.flatnonzero(one.held)[:: max(1, total // JUDGED)]
            if len(frames):
                sample = held_out_sample(one.footage, one.heard, frames, self.model.dimensions, one.shown)
                yield one, frames, *painted(model, sample)


def fit(
    footage: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    preset: str = "fast",
    face_index: int = 0,
    device: str = "cpu",
    steps: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Told | None = None,
) -> FitReport:
    """Learn one person from footage and write a ``.kx`` file for ``dub --person``.

    The job's folder ``<out>.job`` keeps what is done; it is removed at the end.

    Args:
        footage: videos of the person talking, 1 to 5 minutes together, of any size and frame rate.
        out: the ``.kx`` file.
        preset: which network, ``fast`` or ``fine``.
        face_index: which face of the first frame that shows any, 0 = the largest.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        steps: optimiser steps at most.
        resume: go on with the unfinished job of the same footage and options; without one, start.
        overwrite: replace ``out`` if it is there.
        progress: called with (stage, done, total); stages are ``watch`` and ``fit``.

    Raises:
        OptionError: an option is out of range, or the unfinished job is another one.
        MediaError, NoVideoError, NoSoundError, NoFaceError: a file is no footage of a person talking.
        DataError: too little of it shows the face.
        UnsureError: fitting does not make held-out seconds better.
        OutputError: ``out`` cannot be written.
        WeightError: weights are missing or damaged.
    """
    began = time.monotonic()
    files, target, face_index = paths(footage), Path(out), face_number(face_index)
    _check(files, target, preset, overwrite)
    schedule = replace(SCHEDULE, steps=SCHEDULE.steps if steps is None else _steps(steps), precision="bf16-mixed")
    check_device(device)
    names = weight_names(preset)
    plan = {
        "footage": [fingerprint(path) for path in files], "preset": preset, "face_index": face_index,
        "steps": schedule.steps, "program": __version__,
        "weights": {name: weights.card(name)["sha256"] for name in names},
    }  # fmt: skip
    with alone(target):
        job = Job.open(target, plan, resume)
        try:
            made = _made(job, files, target, preset, face_index, device, schedule, progress or (lambda *step: None))
        except OutputError as error:
            raise OutputError(f"{error}; the same command with --resume then goes on") from error
        except KouxingError as error:
            if type(error) is MediaError and job.place("run").is_dir():
                # A disk that was unplugged, or a share that went: what is learnt is worth keeping.
                raise MediaError(f"{error}; when that is mended, the same command with --resume goes on") from error
            # A mistake in the footage: going on later would fail in the same place.
            job.remove()
            raise
        job.remove()
    return replace(made, minutes=(time.monotonic() - began) / 60)


def _made(
    job: Job, files: list[Path], out: Path, preset: str, face_index: int, device: str, schedule: Schedule, told: Told
) -> FitReport:
    """Watch, learn, write."""
    model, places = restore.lips(preset)
    taken = take(files, job, told, face_index)
    manner = learnt_manner(taken)
    found, before, spoken, sharpening = _learn(model, taken, manner, job.place("run"), schedule, device, told)
    seconds = sum(int(one.footage.found.sum()) for one in taken) / FRAME_HZ
    after, done = found["val/psnr_db"], int(found["step"])
    worth = after >= spoken + LEAST_GAIN_DB
    if not worth and manner.weights is None:
        raise UnsureError(
            f"{', '.join(map(str, files))}: fitting makes held-out seconds no better "
            f"({before:.2f} dB before, {after:.2f} dB after); dub without --person, or give more, sharper footage"
        )
    if not worth:
        # Only the manner is worth having: the picture stays the shipped one's.
        model, places = restore.lips(preset)
        after, done, sharpening = spoken, 0, None
    card = weights.card(f"lips_{preset}_frame")
    about = {
        "program": __version__,
        "dimensions": card["dimensions"],
        "licence": card["licence"],
        "seconds": round(seconds, 2),
        "figures": {
            "before_db": round(before, 3),
            "manner_db": round(spoken, 3),
            "after_db": round(after, 3),
            "steps": done,
            "manner_gain": round(manner.gain, 4),
        },
    }
    if sharpening is not None:
        about[person.SHARPENING] = sharpening
    tensors = restore.tensors(model, places, preset)
    if manner.weights is not None:
        tensors |= {person.MANNER: manner.weights}
    person.save(out, preset, tensors, about)
    return FitReport(out, preset, seconds, before, spoken, after, manner.gain, done, 0.0, _warnings(seconds))


def _check(files: list[Path], out: Path, preset: str, overwrite: bool) -> None:
    if not files:
        raise OptionError("no footage is given; name one or more videos of the person")
    if preset not in PRESETS:
        raise OptionError(f"--preset {preset}: choose one of {', '.join(PRESETS)}")
    if out.suffix.lower() != person.SUFFIX:
        raise OptionError(f"{out}: the output is a person file, let its name end in {person.SUFFIX}")
    with output_errors(out):
        if not out.parent.is_dir():
            raise OutputError(f"{out}: the folder {out.parent} does not exist; make it or choose another")
        if out.is_dir():
            raise OutputError(f"{out}: is a folder; give a file name")
    if is_there(out) and not overwrite:
        raise OutputError(f"{out}: is there already; remove it, overwrite it (--force) or choose another name")


def _steps(value: Any) -> int:
    """A number of steps as callers from Python give it."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise OptionError(f"--steps {value}: give a whole number from 1 on")
    return number


def _learn(
    model: Lips, plain: list[Taken], manner: Manner, run: Path, schedule: Schedule, device: str, told: Told
) -> tuple[dict[str, float], float, float, float | None]:
    """Train ``model`` in place on what dubs will hear.

    Returns:
        The best validation's figures; the PSNR before, as heard; and with the manner; what sharpens mouths.
    """
    taken = [replace(one, heard=manner.corrected(one.heard)) for one in plain]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(PART))
    _keep_phones(model)
    size = model.dimensions
    taught = [one for one in taken if one.teaches]
    samples = LipsSamples(
        [one.part for one in taught], [one.heard for one in taught], clips=schedule.batch // RUN, run=RUN,
        window=size.window, spacing=size.spacing, seed=schedule.seed, plain=True,
        width=size.features,
    )  # fmt: skip
    task = FitTask(model, samples, None, [], weights=FITTED, taken=taken, told=told, steps=schedule.steps)
    before = replace(task, taken=plain).psnr_db(model)
    spoken = before if manner.weights is None else task.psnr_db(model)
    quiet: list[str] = []
    with output_errors(run):
        best = train(task, schedule, run, device, {"model": "fit"}, quiet.append, task.enough)
    model.load_state_dict(cast(Lips, best).state_dict())
    return best_figures(run), before, spoken, task.sharpening(model.eval())


def _crops(lower: Tensor) -> Bytes:
    """Lower halves ``[n, 3, 128, 256]``, 0..1, as crops ``[n, 256, 256, 3]``, black above."""
    levels = (lower.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return np.concatenate([np.zeros_like(levels), levels], 1)


def _keep_phones(model: Lips) -> None:
    """What the network makes of phones stays: those of a minute would be learnt by heart, with their frames."""
    size = model.dimensions
    one = torch.cat([torch.ones(GEOMETRY), torch.zeros(size.features - GEOMETRY)])
    flat = torch.cat([one.repeat(size.window + size.references), torch.ones((1 + size.references) * size.stance)])
    for layer, learns in ((model.fusion.adapter[0], one), (model.fusion.drive[0], flat)):
        cast(nn.Linear, layer).weight.register_hook(partial(torch.mul, learns))


def _warnings(seconds: float) -> tuple[str, ...]:
    if seconds < GOOD_S:
        return (f"the footage shows the face for {seconds:.0f} s; a minute or more fits better",)
    if seconds > MOST_S - 1:
        return (f"more than {MOST_S // 60} minutes of footage are not looked at",)
    return ()
