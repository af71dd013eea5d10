"""Train ``mouth``: log-mel -> mouth coefficients (methods.md section 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.arkit import MOUTH, PLACE
from kouxing.audio.features import SILENT_MEL
from kouxing.data.animate import Take, TakeWindows, in_step, load_takes
from kouxing.data.phone_windows import IGNORED, PhoneWindows
from kouxing.data.phones import PhoneClip, clip_of, load_labelled
from kouxing.data.sync import STEPS, read_steps
from kouxing.data.taught import taught_takes
from kouxing.errors import DataError
from kouxing.eval.closure import Judged, judge, summary
from kouxing.face.closure import CLOSED_DISTANCE, TYPICAL_DISTANCE, distance_weights
from kouxing.losses.closure import closure, closure_loss, coefficient_error, distance_error, shut_error
from kouxing.losses.motion import correlation_loss, masked_mean
from kouxing.models.expression import Expression, ExpressionDimensions
from kouxing.models.mouth import Mouth, MouthDimensions, shut_lips, to_coefficients
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.text.phones import MOUTHS
from kouxing.train import phones as phone_speech
from kouxing.train.card import Source, about, changed, further_sources, inherited
from kouxing.train.export_animate import export_mouth
from kouxing.train.loop import BEST, Batch, Figures, Schedule, best_figures, counting, load_tensors, read_config, train
from kouxing.train.origin import checksum, origin
from kouxing.train.speech import load as load_speech
from kouxing.types import Float
from kouxing.units import FRAME_HZ, MEL_BANDS, MELS_PER_FRAME

WEIGHTS = {
    "values": 0.4,
    "distance": 2.0,
    "velocity": 1.0,
    "correlation": 0.5,
    "closure": 4.0,
    "shut": 0.3,
    "silence": 0.5,
}
"""The loss table. Distances are in units of ``TYPICAL_DISTANCE``."""

GATE = (0.25, 0.4)
"""``models.mouth.shut_lips``: probabilities between which the lips are drawn together; chosen on ``val``."""

LONGEST, SHORTEST = 75, 20
"""Length of a sample and of the shortest unmasked window, in video frames."""

PRESETS = {
    "phones": Schedule(
        steps=500, batch=32, rate=1.5e-3, warmup=50, validate_every=250, ema=0.99, precision="bf16-mixed"
    ),
    "mouth": Schedule(
        steps=600, batch=40, rate=1.5e-3, warmup=60, validate_every=100, decay=0.05, ema=0.99, precision="bf16-mixed"
    ),
}


@dataclass
class MouthTask:
    """Model, data and losses of ``mouth``."""

    model: Mouth
    windows: TakeWindows
    held_out: list[Take]
    spread: Float

    def __post_init__(self) -> None:
        self._distance = torch.from_numpy(distance_weights()) / TYPICAL_DISTANCE
        self._importance = importance(self.spread)

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        parameters = model(batch["mel"])
        values = to_coefficients(parameters, self.model.columns)
        terms = mouth_terms(values, parameters[..., -1], batch, self._distance, self._importance)
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        return loss, {f"mouth/{name}": value.detach() for name, value in terms.items()} | {"mouth/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        made = [shut_lips(*parts, *GATE).numpy() for parts in predict(cast(Mouth, model), self.held_out)]
        return held_out_figures(self.held_out, made)


class PhoneReader(nn.Module):
    """``mouth`` with a head that tells the mouth class of every mel frame."""

    def __init__(self, model: Mouth) -> None:
        super().__init__()
        size = model.dimensions
        self.mouth = model
        self.head = nn.Linear(size.hidden + size.features, MELS_PER_FRAME * len(MOUTHS))

    def forward(self, mel: Tensor) -> Tensor:
        """``[B, 4T, classes]``."""
        hidden, contexts, _ = self.mouth.listen(mel)
        heard = torch.cat([hidden, contexts], -1)
        return self.head(heard).reshape(len(mel), -1, len(MOUTHS))


@dataclass
class PhoneTask:
    """Phone pre-training: what sounds alike looks alike, in many voices and languages."""

    model: PhoneReader
    windows: PhoneWindows
    held_out: PhoneWindows

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        told = model(batch["mel"]).float()
        loss = F.cross_entropy(told.flatten(0, 1), batch["classes"].flatten(), ignore_index=IGNORED)
        return loss, {"phones/loss": loss.detach()}

    @torch.no_grad()
    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        right = counted = 0
        for number in range(4):
            device = next(model.parameters()).device
            batch = {name: value.to(device) for name, value in self.held_out(number).items()}
            counts = batch["classes"] != IGNORED
            right += int(((model(batch["mel"]).argmax(-1) == batch["classes"]) & counts).sum())
            counted += int(counts.sum())
        return {"score": right / max(counted, 1)}


def pretrain(
    model: Mouth, made: list[PhoneClip], real: list[PhoneClip], out: Path, device: str, schedule: Schedule,
    of: Mapping[str, str], report: Callable[[str], None],
) -> None:  # fmt: skip
    """Teach ``model`` phones in place; a third of the real recordings is held out (else a tenth of the others)."""
    size = model.dimensions
    held_out, learned = real[::3], [clip for place, clip in enumerate(real) if place % 3]
    if not held_out:
        # A set of a few clips is learned as it is: there is nothing to choose by.
        held_out = made[::10]
        made = [clip for place, clip in enumerate(made) if place % 10] or made
    places = (size.before_mels, size.after_mels, schedule.seed)
    task = PhoneTask(
        PhoneReader(model),
        PhoneWindows(made, learned, 2 * FRAME_HZ, schedule.batch, *places),
        PhoneWindows(held_out, [], 2 * FRAME_HZ, schedule.batch, *places),
    )
    config = {"model": "mouth phones", "dimensions": asdict(size), "origin": of}
    best = cast(PhoneReader, train(task, schedule, out, device, config, report))
    model.load_state_dict(best.mouth.state_dict())


def importance(spread: Float) -> Tensor:
    """``[52]``: how much a channel's error counts: less where it moves much, nothing beyond the mouth.

    Args:
        spread: ``[52]`` standard deviation of each channel in training.
    """
    weight = np.zeros(len(spread), np.float32)
    places = [PLACE[name] for name in MOUTH]
    weight[places] = 1 / np.maximum(spread[places], 0.03) ** 2
    return torch.from_numpy(weight * len(spread) / len(places))


def mouth_terms(
    values: Tensor, shut: Tensor | None, batch: Batch, distance: Tensor, importance: Tensor
) -> dict[str, Tensor]:
    """The terms of ``WEIGHTS`` for predicted coefficients ``[B, T, 52]`` and shut probability ``[B, T]``."""
    mask, real = batch["mask"], batch["values"]
    made_d, real_d = values @ distance.to(mask.device), real @ distance.to(mask.device)
    both = mask[:, 1:] * mask[:, :-1]
    weight = batch["channels"] * importance.to(mask.device)
    terms = {
        "values": coefficient_error(values, real, mask, weight),
        "distance": distance_error(made_d, real_d, mask, 0.25),
        "velocity": masked_mean((made_d.diff(dim=1) - real_d.diff(dim=1)).square(), both),
        "correlation": correlation_loss(made_d, real_d, mask),
        "closure": closure_loss(made_d, closure(real, batch["gap"]), mask),
        # Silence shuts the mouth, whatever the tracked person did there.
        "silence": masked_mean(torch.relu(made_d).square(), batch["silent"] * mask),
    }
    if shut is not None:
        terms["shut"] = shut_error(shut, batch["closed"], mask)
    return terms


@torch.no_grad()
def predict(model: Mouth, takes: list[Take], together: int = 32) -> list[tuple[Tensor, Tensor]]:
    """Coefficients ``[T, 52]`` (lips not yet shut) and shut probability ``[T]`` of each take."""
    model.eval()
    size = model.dimensions
    device = next(model.parameters()).device
    made: dict[int, tuple[Tensor, Tensor]] = {}
    order = sorted(range(len(takes)), key=lambda place: len(takes[place]))
    for first in range(0, len(order), together):
        places = order[first : first + together]
        longest = max(len(takes[place]) for place in places)
        mels = size.before_mels + longest * MELS_PER_FRAME + size.after_mels
        mel = np.full((len(places), mels, MEL_BANDS), SILENT_MEL, np.float32)
        for row, place in enumerate(places):
            sound = takes[place].mel
            mel[row, size.before_mels : size.before_mels + len(sound)] = sound
        parameters = model(torch.from_numpy(mel).to(device)).float().cpu()
        values = to_coefficients(parameters, model.columns.cpu())
        for row, place in enumerate(places):
            frames = len(takes[place])
            made[place] = values[row, :frames], parameters[row, :frames, -1]
    return [made[place] for place in range(len(takes))]


def held_out_figures(takes: list[Take], made: list[Float]) -> dict[str, float]:
    """``val/…`` by group and the score that chooses: correlation and closure of strangers; s1 only breaks ties."""
    groups: dict[str, list[Judged]] = {}
    for take, values in zip(takes, made, strict=True):
        groups.setdefault(take.group, []).append(judge(values, take.gap, take.silent, take.found, CLOSED_DISTANCE))
    figures: dict[str, float] = {}
    for group, rows in groups.items():
        figures |= {f"val/{group}_{name}": value for name, value in summary(rows).items()}
    strangers: list[str] = [name for name in ("words", "wild", "mocap") if name in groups] or ["grid"]
    score = float(np.nanmean([figures[f"val/{name}_r"] + figures[f"val/{name}_f1"] for name in strangers]))
    if "grid" in groups:
        score += 0.2 * (figures["val/grid_r"] + figures["val/grid_f1"])
    return figures | {"score": score}


def main(
    data: Path,
    out: Path,
    *,
    dimensions: MouthDimensions | None = None,
    masking: bool = True,
    phones: bool = True,
    expression: Path | None = None,
    speech: Path = Path("runs/speech"),
    device: str = "cpu",
    schedule: Schedule = PRESETS["mouth"],
    report: Callable[[str], None] = print,
) -> Mouth:
    """Train on ``data``'s train split; the same command resumes.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their card.
        dimensions: sizes, and what is left out in an ablation.
        masking: random-length masking (ablation).
        phones: begin with phone pre-training on synthesised and labelled speech (ablation); see ``train.phones.load``.
        expression: run folder of ``train expression``, which then speaks the phone speech as further takes.
        speech: the run folder that ``expression`` was trained with; it told who is in step.
        device: see ``train.loop.train``.
        schedule: instead of the preset's; the phone stage takes no more steps than it has.
        report: where progress lines go.

    Returns:
        The best averaged model.
    """
    size = dimensions or MouthDimensions()
    # A teacher that does not fit is told before the clips are made ready.
    teacher = load_expression(expression, speech) if expression else None
    takes = in_step(load_takes(data, "train", counting(report, "clips made ready")), read_steps(speech), report)
    channels = spread(takes)
    torch.manual_seed(schedule.seed)
    model = Mouth(size)
    if phones or expression:
        spoken = phone_speech.load(data, report)
        made = [] if spoken is None else spoken.made
        labelled = load_labelled(data, clip_of)
        if phones and spoken is not None:
            steps = min(PRESETS["phones"].steps, schedule.steps)
            lesson = replace(PRESETS["phones"], steps=steps, precision=schedule.precision)
            pretrain(model, made, labelled, out / "phones", device, lesson, origin(data), report)
        if teacher is not None:
            takes += taught_takes(*teacher, [*made, *labelled])
    windows = TakeWindows(
        takes, LONGEST, SHORTEST, schedule.batch, size.before_mels, size.after_mels, schedule.seed, masking
    )
    task = MouthTask(model, windows, load_takes(data, "val"), channels)
    config = {
        "model": "mouth", "dimensions": asdict(size), "masking": masking, "phones": phones,
        "weights": WEIGHTS, "origin": origin(data, expression=expression, speech=speech),
    }  # fmt: skip
    model = cast(Mouth, train(task, schedule, out, device, config, report))
    recipe = ["kouxing train mouth --data DATA"]
    recipe += [f"--expression runs/{expression.name}"] if expression else []
    recipe += [f"--speech runs/{speech.name}"] if expression or (speech / STEPS).is_file() else []
    parts = {"masking": masking, "attention": size.attends, "similarity": size.compares, "phones": phones}
    recipe += [f"--no-{name}" for name, there in parts.items() if not there]
    recipe += changed(schedule, PRESETS["mouth"], "rate")
    save(model, data, out, " ".join([*recipe, f"--out runs/{out.name}"]), inherited(expression, speech))
    return model


def load_expression(run: Path, speech: Path) -> tuple[Expression, SpeechEncoder | Ears]:
    """The model that a ``train expression`` run left, and the encoder it hears with.

    Raises:
        DataError: there is none, it hears through the front (what it teaches is told by log-mel), or with another
            encoder.
    """
    if not (run / BEST).exists():
        raise DataError(f"{run}: no trained expression ({BEST}); run `kouxing train expression --out {run}` first")
    told = read_config(run, "expression")
    encoder = load_speech(speech)
    if encoder.dimensions.behind_front:
        raise DataError(f"{speech}: hears through the front; give runs of `train speech` without --front here")
    own = checksum(speech / BEST)
    try:
        model = Expression(ExpressionDimensions(**told["dimensions"]))
    except TypeError as error:
        raise DataError(f"{run}: is no run of `kouxing train expression`; give its folder") from error
    heard = encoder.dimensions.members * (encoder.dimensions.hidden + encoder.dimensions.width)
    if told.get("origin", {}).get("speech", own) != own or model.dimensions.heard != heard:
        raise DataError(f"{run}: was trained with another encoder than {speech}; give the one it was trained with")
    load_tensors(model, run / BEST)
    return model, encoder


def spread(takes: list[Take]) -> Float:
    """``[52]`` standard deviation of each channel over all takes."""
    return np.concatenate([take.values[take.found] for take in takes]).std(0).astype(np.float32)


def save(model: Mouth, data: Path, out: Path, recipe: str, parents: Sequence[Source]) -> None:
    """Export the model of run folder ``out`` into it, with its card.

    Args:
        model: the run's best.
        data: what it was trained on.
        out: the run folder.
        recipe: the command that makes it anew.
        parents: see ``card.inherited``.
    """
    units = {
        "mel": "[1, window_mels, 80] log power, 100 Hz: the window that ends `reach` mel frames into the newest step",
        "coefficients": "[1, 52] ARKit's, 0..1, 25 Hz, row i at i / 25 s; lips touch where face.closure's d is 0",
        "attention": "[1, past + 1 + ahead] weights, column `past` is the row's own step",
    }
    told = about(data, recipe, units, told_figures(out), [*further_sources(data), *parents])
    export_mouth(model, GATE, told, out)


def told_figures(out: Path) -> dict[str, float]:
    """The run's held-out figures for a card."""
    return {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
