"""The one training loop: cadence, warm-up and cosine, EMA, precision, saving, resuming, logging.

Tasks bring the model, the batches and the step.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor, nn

from kouxing.errors import DataError, OptionError
from kouxing.media.aside import keeping, make_folder

Batch = dict[str, Tensor]
Figures = Mapping[str, float | Tensor]
CHECKPOINT = "checkpoint.safetensors"
SOURCES = "sources.json"
"""What a run learns from (``train.card``): weights of a run that was stopped have no card yet."""
BEST = "best.safetensors"
"""The averaged weights with the best validation score, its figures in the metadata."""
MOST_LOST = 10
"""Steps in a row without a finite gradient that a run endures."""


DEVICES = ("cpu", "cuda", "mps", "auto")
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, betas=(0.9, 0.98)),
    "adam": partial(torch.optim.Adam, betas=(0.9, 0.98)),
    "sgd": partial(torch.optim.SGD, momentum=0.9),
    "adagrad": torch.optim.Adagrad,
}
"""Methods.md section 1; the recipes use the first. Rates of presets are its rates: the others need their own."""


def check_device(device: str) -> None:
    """Whether training can run there, before any other work.

    Raises:
        OptionError: no such device, or not here.
    """
    _fabric(device, "32-true")


def _fabric(device: str, precision: str) -> Fabric:
    if device not in DEVICES:
        raise OptionError(f"--device {device}: choose one of {', '.join(DEVICES)}")
    try:
        return Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        why = " ".join(str(error).split())
        raise OptionError(f"--device {device}, precision {precision}: not available here ({why})") from error


@dataclass(frozen=True)
class Schedule:
    """Rows of a preset table; the differences are the recipe.

    Attributes:
        steps: optimiser steps in all.
        batch: samples per step.
        rate: peak learning rate, reached linearly after ``warmup`` steps, then a cosine to ``rate * floor``.
        warmup: steps.
        floor: share of the rate that is left at the end.
        decay: weight decay.
        ema: decay of the averaged weights, which are what is validated and exported.
        clip: largest gradient norm.
        save_every_s: seconds between checkpoints.
        validate_every: steps between validations.
        precision: Fabric's, e.g. ``32-true`` or ``bf16-mixed``; see ``native``.
        optimiser: one of ``OPTIMISERS``.

    Raises:
        OptionError: no such optimiser.
        seed: source of chance.
    """

    steps: int
    batch: int = 16
    rate: float = 1e-4
    warmup: int = 100
    floor: float = 0.02
    decay: float = 0.01
    ema: float = 0.995
    clip: float = 1.0
    save_every_s: float = 60.0
    validate_every: int = 250
    precision: str = "32-true"
    seed: int = 0
    optimiser: str = "adamw"

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise OptionError(f"--optimiser {self.optimiser}: choose one of {', '.join(OPTIMISERS)}")


class Task(Protocol):
    """What a training file brings."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    def batch(self, number: int) -> Batch:
        """Batch ``number``; the same number gives the same batch."""
        ...

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """Loss and a flat dict of figures (``lips/reconstruction``); ``progress`` runs 0..1."""
        ...

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Held-out figures of the averaged model; the highest ``score`` is kept. May leave pictures in ``folder``."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A task that learns beside its model: what a checkpoint must keep of it, too."""

    def memory(self) -> dict[str, Tensor]:
        """Everything that the next steps depend on."""
        ...

    def remember(self, kept: dict[str, Tensor]) -> None:
        """Take back what ``memory`` gave; the model lies on its device already."""
        ...


def rate_at(schedule: Schedule, step: int) -> float:
    """Learning rate of a step: linear warm-up from 0, then cosine."""
    if step < schedule.warmup:
        return schedule.rate * (step + 1) / schedule.warmup
    share = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.rate * (schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def native(precision: str, device: str) -> str:
    """``precision``, or float32 in place of bfloat16 on processors that would compute it ten times as slowly."""
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    here = device == "cpu" or (device == "auto" and not accelerated)
    # Private, and not in every torch that this program runs with.
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "32-true" if here and precision.startswith("bf16") and not known() else precision


def train(
    task: Task,
    schedule: Schedule,
    folder: Path,
    device: str = "cpu",
    config: dict[str, Any] | None = None,
    report: Callable[[str], None] = print,
    enough: Callable[[], bool] = lambda: False,
    sources: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Train, or go on where the run folder's checkpoint is; the same command resumes.

    Args:
        task: model, batches, step, validation.
        schedule: cadence.
        folder: run folder; gets config.json, checkpoint, TensorBoard logs, ``BEST``.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        config: resolved configuration to keep beside the checkpoint; a resume with another one is refused.
        report: where progress lines go.
        enough: asked after each validation; True ends the training before its last step.
        sources: ``train.card.learned_from``, to keep beside the checkpoint.

    Returns:
        The averaged model with the best validation score.

    Raises:
        DataError: the folder holds a run of another configuration; or no gradient is finite any more.
        OptionError: the device is not there.
    """
    # Its notes (the precision that is in use, a tip) would stand between the lines of progress.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision = native(schedule.precision, device)
    if precision != schedule.precision:
        report(f"{precision} in place of {schedule.precision}, which this processor computes slowly")
    fabric = _fabric(device, precision)
    make_folder(folder)
    _keep_config(folder, {"schedule": asdict(schedule), **(config or {})})
    if sources is not None:
        with keeping(folder / SOURCES) as part:
            part.write_text(json.dumps(sources, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    optimiser = OPTIMISERS[schedule.optimiser](task.model.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
    model, optimiser = fabric.setup(task.model, optimiser)
    average = copy.deepcopy(task.model).requires_grad_(False).eval()
    state = _resume(folder, task, average, optimiser, fabric.device)
    log = _writer(folder)
    saved = began = time.monotonic()
    first, lost = state["step"], 0
    if 0 < first < schedule.steps:
        report(f"{folder}: goes on at step {first} of {schedule.steps}")
    with ThreadPoolExecutor(1) as loader:
        waiting = loader.submit(task.batch, first)
        for step in range(first, schedule.steps):
            batch = fabric.to_device(waiting.result())
            waiting = loader.submit(task.batch, step + 1)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(schedule, step)
            model.train()
            # By the step, so that chance (dropout, noise) after a resume is what it would have been.
            torch.manual_seed(schedule.seed + step)
            loss, figures = task.step(model, batch, step / schedule.steps)
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            norm = fabric.clip_gradients(model, optimiser, max_norm=schedule.clip, error_if_nonfinite=False)
            done = step + 1
            # float16 scales its gradients until they are finite, and leaves such steps out by itself.
            if norm is None or torch.isfinite(norm) or precision.startswith("16"):
                optimiser.step()
                _follow(average, task.model, min(schedule.ema, (step + 1) / (step + 10)))
                lost = 0
            else:
                # One such step would make every weight no number, in the checkpoint too.
                lost += 1
                report(f"step {done}/{schedule.steps} left out: its gradient is no finite number")
                if lost == MOST_LOST:
                    raise DataError(
                        f"{folder}: {lost} steps in a row have no finite gradient; look for broken clips in the data "
                        f"({CHECKPOINT} is whole)"
                    )
            if done % 25 == 0 or done == schedule.steps:
                _log(log, report, figures, done, schedule.steps, (time.monotonic() - began) / (done - first))
            if done % schedule.validate_every == 0 or done == schedule.steps:
                held_out = task.validate(average, folder, done)
                _log(log, report, held_out, done, schedule.steps, None)
                # A score that too little held-out footage leaves open (NaN) is better than no weights at all.
                if held_out["score"] > state["best"] or not (folder / BEST).exists():
                    state["best"] = max(state["best"], held_out["score"])
                    told = {name: repr(value) for name, value in held_out.items()} | {"step": str(done)}
                    write_aside(folder / BEST, average.state_dict(), told)
                if enough():
                    _save(folder, task, average, optimiser, {"step": schedule.steps, "best": state["best"]})
                    break
            if time.monotonic() - saved > schedule.save_every_s or done == schedule.steps:
                _save(folder, task, average, optimiser, {"step": done, "best": state["best"]})
                saved = time.monotonic()
    load_tensors(average, folder / BEST)
    return average


def counting(report: Callable[[str], None], what: str, every_s: float = 20.0) -> Callable[[int, int], None]:
    """A progress function that says ``what: done/total``, and says nothing where all is done soon."""
    said = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= every_s:
            said = time.monotonic()
            report(f"{what}: {done}/{total}")

    return told


def _keep_config(folder: Path, config: dict[str, Any]) -> None:
    path = folder / "config.json"
    text = json.dumps(config, indent=2, default=str)
    if path.exists() and (folder / CHECKPOINT).exists():
        try:
            old, new = _settings(json.loads(path.read_text(encoding="utf-8"))), _settings(json.loads(text))
        except (ValueError, AttributeError) as error:
            raise DataError(f"{path}: is no configuration of a run; choose another --out or remove the run") from error
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if changed:
            told = ", ".join(f"{name} {old.get(name)}, now {new.get(name)}" for name in changed[:3])
            raise DataError(
                f"{folder}: holds a run of another configuration ({told}); choose another --out or remove it"
            )
    # Aside: a run beside this one may read it meanwhile.
    with keeping(path, shared=True) as part:
        part.write_text(text, encoding="utf-8")


def _settings(config: dict[str, Any], within: str = "") -> dict[str, Any]:
    """Every setting by its dotted name, but how often is saved: what is learnt does not depend on it."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= _settings(value, f"{within}{name}.") if isinstance(value, dict) else {f"{within}{name}": value}
    return {name: value for name, value in found.items() if name != "schedule.save_every_s"}


def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
            if old.dtype.is_floating_point:
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def write_aside(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write safetensors beside ``path``, then rename: a half-written file never replaces a good one."""
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with keeping(path) as part:
        # In memory first: its own way to a file tells a full disk in an error that is none of the system's.
        part.write_bytes(serialised(whole, metadata))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What a file of safetensors holds.

    Raises:
        DataError: it is no such file.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path}: is no file of safetensors ({why}); give {BEST} of a run, or its folder") from error


def read_config(run: Path, network: str) -> dict[str, Any]:
    """The configuration that ``train`` kept in a run folder, with the model's ``dimensions``.

    Raises:
        DataError: there is none; the line names the training of ``network``, whose run was wanted.
    """
    try:
        told = json.loads((run / "config.json").read_text(encoding="utf-8"))
        return {**told, "dimensions": dict(told["dimensions"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{run}: is no run of `kouxing train {network}` (config.json); give its folder") from error


def load_tensors(model: nn.Module, path: Path) -> None:
    """Strictly load a state dict of safetensors into ``model``.

    Raises:
        DataError: the file holds another network.
    """
    given = read_tensors(path)
    try:
        model.load_state_dict(given)
    except RuntimeError as error:
        what = f"holds another network than {type(model).__name__}"
        raise DataError(f"{path}: {what}; give the run folder of a training of that one") from error


def best_figures(folder: Path) -> dict[str, float]:
    """Held-out figures of a run's best weights."""
    with safe_open(folder / BEST, "pt") as file:
        return {name: float(value) for name, value in file.metadata().items()}


def optimiser_memory(optimiser: Any) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, by ``place/name``."""
    known = optimiser.state_dict()["state"].items()
    return {f"{place}/{name}": torch.as_tensor(value) for place, slots in known for name, value in slots.items()}


def remind(optimiser: Any, kept: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what ``optimiser_memory`` told."""
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in kept.items():
        place, name = key.split("/")
        slots.setdefault(int(place), {})[name] = value
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def _save(folder: Path, task: Task, average: nn.Module, optimiser: Any, state: dict[str, float]) -> None:
    tensors = {f"model/{name}": value for name, value in task.model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"optimiser/{name}": value for name, value in optimiser_memory(optimiser).items()}
    if isinstance(task, Remembering):
        tensors |= {f"task/{name}": value for name, value in task.memory().items()}
    write_aside(folder / CHECKPOINT, tensors, {name: repr(value) for name, value in state.items()})


def _resume(folder: Path, task: Task, average: nn.Module, optimiser: Any, device: torch.device) -> dict[str, Any]:
    path = folder / CHECKPOINT
    if not path.exists():
        return {"step": 0, "best": -math.inf}
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimiser": {}, "task": {}}
    with safe_open(path, "pt", device=str(device)) as file:
        state = file.metadata()
        for key in file.keys():  # noqa: SIM118 (no dict)
            part, name = key.split("/", 1)
            parts[part][name] = file.get_tensor(key)
    task.model.load_state_dict(parts["model"])
    average.load_state_dict(parts["average"])
    remind(optimiser, parts["optimiser"])
    if isinstance(task, Remembering):
        task.remember(parts["task"])
    return {"step": int(state["step"]), "best": float(state["best"])}


def _writer(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))


def _log(
    log: Any, report: Callable[[str], None], figures: Figures, step: int, steps: int, pace_s: float | None
) -> None:
    values = {name: float(value) for name, value in figures.items()}
    for name, value in values.items():
        log.add_scalar(name, value, step)
    log.flush()
    left = f", {(steps - step) * pace_s / 60:.1f} min left" if pace_s is not None else ""
    report(f"step {step}/{steps}{left}: " + "  ".join(f"{name} {value:.4f}" for name, value in values.items()))
